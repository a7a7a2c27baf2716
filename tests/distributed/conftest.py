"""What tests of training by several workers leave out."""

import pytest


@pytest.fixture(autouse=True)
def left_out(brief):
    """Plots and pages."""
