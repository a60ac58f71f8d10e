"""Every test here runs phases in this process."""

import pytest


@pytest.fixture(autouse=True)
def process_is_put_back(process_as_before):
    """Leave the process as it was before each test."""
