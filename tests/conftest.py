"""What every test may count on."""

import pytest


@pytest.fixture
def float64():
    """Make float64 the default for tests that compare arithmetic, and put float32 back."""
    import torch

    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(autouse=True)
def one_thread():
    """Run on one thread: bits depend on their number, and test workers share the cores."""
    import sys

    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
