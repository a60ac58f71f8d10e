"""Number and memory formats."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from kdbench.engine import precision as formats
from kdbench.engine.precision import (
    Precision,
    float32_convolutions,
    prepare_process,
    set_formats,
)
from kdbench.errors import BadValue
from kdbench.store.parts import Runtime

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def process_as_before():
    """Put back what `prepare_process` sets for the whole process."""
    threads = torch.get_num_threads()
    fills = torch.utils.deterministic.fill_uninitialized_memory
    workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = fills
    set_formats("float32")
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
    """One line that names those that exist."""
    with pytest.raises(BadValue, match="found 'fp8', expected 'float32', 'tf32', 'bf16' or 'fp16'"):
        Precision("fp8", False, CPU)


def test_tf32_is_refused_where_there_is_none(monkeypatch):
    """On a CPU, and on GPUs before Ampere; later ones take it."""
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    for device in (CPU, gpu):
        expected = f"found 'tf32', expected 'float32' or 'bf16' on {device.type}; .* Ampere"
        with pytest.raises(BadValue, match=expected):
            Precision("tf32", False, device)

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert not torch.is_autocast_enabled("cuda")
    with Precision("tf32", False, gpu).autocast():
        assert not torch.is_autocast_enabled("cuda")


def test_a_process_is_made_deterministic():
    """Threads as specified, deterministic algorithms, no TF32."""
    precision = prepare_process(Runtime(threads=1, precision="bf16", channels_last=True), CPU)

    assert (precision.name, precision.channels_last, precision.device) == ("bf16", True, CPU)
    assert torch.get_num_threads() == 1
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32


def test_a_process_does_not_fill_new_memory():
    """Deterministic algorithms would, with NaN, in a pass over every new tensor."""
    torch.utils.deterministic.fill_uninitialized_memory = True

    prepare_process(Runtime(threads=1, precision="float32", channels_last=False), CPU)

    assert not torch.utils.deterministic.fill_uninitialized_memory


def test_tf32_is_for_convolutions_alone(monkeypatch):
    """Matrix products of losses stay in float32, and the next run of the process in all."""
    monkeypatch.setattr(formats, "_has_tf32", lambda device: True)
    for name, expected in (("tf32", True), ("float32", False), ("tf32", True)):
        prepare_process(Runtime(threads=1, precision=name, channels_last=False), CPU)

        assert torch.backends.cudnn.allow_tf32 is expected
        assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize(("name", "before"), [("tf32", True), ("float32", False)])
def test_convolutions_can_be_in_float32_for_a_while(name, before):
    """Afterwards the format is as before, also after an error."""
    set_formats(name)

    with pytest.raises(ZeroDivisionError), float32_convolutions():
        assert not torch.backends.cudnn.allow_tf32
        raise ZeroDivisionError

    assert torch.backends.cudnn.allow_tf32 is before


def test_pytorch_can_be_asked_for_its_formats_by_either_name():
    """Its own export asks by the old ones, and fails where only the new ones were set."""
    for name, allowed in (("float32", False), ("tf32", True), ("float32", False)):
        set_formats(name)

        assert torch.backends.cudnn.allow_tf32 is allowed
        assert not torch.backends.cuda.matmul.allow_tf32
        assert (torch.backends.cudnn.conv.fp32_precision == "tf32") is allowed
        assert torch.backends.cuda.matmul.fp32_precision != "tf32"


def test_formats_are_set_without_a_warning():
    """In a process of its own: PyTorch warns once about names that it deprecates."""
    code = (
        "import torch\n"
        "from kdbench.engine.precision import float32_convolutions, set_formats\n"
        "set_formats('tf32')\n"
        "with float32_convolutions(): pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr == ""


@pytest.mark.parametrize(
    ("name", "device", "has_it", "warned"),
    [("bf16", "cpu", False, True), ("bf16", "cpu", True, False), ("float32", "cpu", False, False)],
)
def test_bfloat16_on_a_cpu_without_it_is_warned_about(monkeypatch, name, device, has_it, warned):
    """The line says what to do."""
    monkeypatch.setattr(formats, "_cpu_has_bfloat16", lambda: has_it)

    line = Precision(name, False, torch.device(device)).warning

    assert bool(line) is warned
    assert ("precision: float32" in line) is warned
    assert "\n" not in line


def test_where_pytorch_does_not_say_no_cpu_is_called_slow(monkeypatch):
    """Builds without oneDNN lack the question."""
    monkeypatch.setattr(formats.torch, "ops", SimpleNamespace(mkldnn=SimpleNamespace()))

    assert Precision("bf16", False, CPU).warning == ""
