"""Number and memory formats."""

import os

import pytest
import torch
from torch import nn

from kdbench.engine.precision import Precision, prepare_process
from kdbench.errors import BadValue
from kdbench.store.parts import Runtime

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def process_as_before():
    """Put back what `prepare_process` sets for the whole process."""
    threads = torch.get_num_threads()
    workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    if workspace is None:
        os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


@pytest.mark.parametrize(("name", "dtype"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_forward_pass_has_the_named_format(name, dtype):
    """Convolutions run in it; weights stay float32."""
    precision = Precision(name, False, CPU)
    layer = precision.place(nn.Conv2d(3, 4, 3))

    with precision.autocast():
        out = layer(torch.randn(2, 3, 8, 8))

    assert out.dtype == dtype
    assert layer.weight.dtype == torch.float32
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_module_is_placed_in_the_memory_format(channels_last):
    """Its 4-dimensional weights, and so what it computes."""
    precision = Precision("float32", channels_last, CPU)
    layer = precision.place(nn.Conv2d(3, 4, 3))
    images = torch.randn(2, 3, 8, 8).to(memory_format=precision.memory_format)

    assert layer.weight.is_contiguous(memory_format=precision.memory_format)
    assert layer(images).is_contiguous(memory_format=precision.memory_format)
    assert layer.weight.is_contiguous() is not channels_last


def test_an_unknown_format_is_refused():
    """One line that names both that exist."""
    with pytest.raises(BadValue, match="found 'fp16', expected 'float32' or 'bf16'"):
        Precision("fp16", False, CPU)


def test_a_process_is_made_deterministic():
    """Threads as specified, deterministic algorithms, no TF32."""
    precision = prepare_process(Runtime(threads=1, precision="bf16", channels_last=True), CPU)

    assert (precision.name, precision.channels_last, precision.device) == ("bf16", True, CPU)
    assert torch.get_num_threads() == 1
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
