"""Every test here draws the same random numbers whichever tests ran before it."""

import pytest


@pytest.fixture(autouse=True)
def same_numbers():
    """Seed PyTorch's global generator."""
    import torch

    torch.manual_seed(0)
