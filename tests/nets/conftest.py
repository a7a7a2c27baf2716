"""Nets run operator by operator here, for compiling a graph takes longer than running it: but in tests marked `compiled`."""

import pytest

from mindclf import device


@pytest.fixture(autouse=True)
def mode(request):
    if "compiled" in request.keywords:
        yield
    else:
        with device.pynative():
            yield
