"""What tests of training leave out."""

import sys

import pytest


@pytest.fixture(autouse=True)
def brief(request, monkeypatch):
    """No plots and pages, which take as long as all the training of a tiny net, but where a test is marked `report`."""
    if "report" not in request.keywords:
        monkeypatch.setattr(sys.modules["mindclf.train.fit"], "write_report", lambda *arguments: None)
