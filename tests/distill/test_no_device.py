"""Whole steps where tensors have no values: all of one device, backward passes included.

On PyTorch's meta device a look at a value fails, as does an operation on tensors of two devices.
"""

from contextlib import nullcontext

import pytest
import torch
import whole_steps

META = torch.device("meta")
# Those with tensors of their own; `make test-all` tries all others too.
QUICK = ("alpha_t", "crd", "l2t_ww", "ofd", "sckd", "vid", "ab, first part")
ALL = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
    for name in whole_steps.NAMES
]


@pytest.fixture(autouse=True)
def as_a_device(monkeypatch):
    """Modules keep their parameters' identity when they move, and nothing is autocast."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: nullcontext())
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    yield
    torch.__future__.set_swap_module_params_on_conversion(before)


@pytest.mark.parametrize("name", ALL)
def test_a_whole_step_is_of_one_device(name):
    """Terms, gradients and the optimiser's state."""
    step, parts = whole_steps.make(name, META)
    for number in range(2):
        terms = step(*whole_steps.given(number, META))

    assert {value.device.type for value in terms.values()} == {"meta"}
    counts = {key for key in whole_steps.state(parts) if key.endswith(".step")}
    tensors = {k: v.device.type for k, v in whole_steps.state(parts).items() if k not in counts}
    assert set(tensors.values()) == {"meta"}
