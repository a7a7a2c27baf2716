"""What tests of training leave out."""

import pytest


@pytest.fixture(autouse=True)
def left_out(brief):
    """Plots and pages."""
