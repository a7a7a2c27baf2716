"""What tests of several workers leave out."""

from tests.train.conftest import brief  # noqa: F401
