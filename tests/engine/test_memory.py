"""The peak of one run is not that of another one in the same process."""

import mmap
import os
import platform

import numpy as np
import pytest
import torch

from kdbench.engine import memory
from kdbench.engine.memory import CLEAR, forget_peak, peak_memory

CPU = torch.device("cpu")
LARGE = 200_000_000  # bytes


def take_and_return_memory():
    """Map pages, fill and unmap them: an allocator might hand out pages that it still holds."""
    with mmap.mmap(-1, LARGE) as pages:
        np.frombuffer(pages, dtype=np.uint8)[:] = 1


def test_the_peak_includes_memory_that_was_freed():
    """A large array counts after it is gone."""
    before = peak_memory(CPU)
    take_and_return_memory()
    assert peak_memory(CPU) >= max(before, LARGE)


@pytest.mark.skipif(not os.access(CLEAR, os.W_OK), reason="the system cannot forget a peak")
def test_a_forgotten_peak_does_not_count():
    """The next peak is that of what came after."""
    forget_peak(CPU)
    take_and_return_memory()
    held = peak_memory(CPU)
    forget_peak(CPU)
    assert peak_memory(CPU) < held - LARGE / 2


@pytest.mark.skipif(platform.system() == "Windows", reason="no resource usage there")
def test_without_proc_the_peak_is_that_of_the_process(monkeypatch, tmp_path):
    """As on macOS: nothing is forgotten, nothing fails."""
    monkeypatch.setattr(memory, "STATUS", tmp_path / "absent" / "status")
    monkeypatch.setattr(memory, "CLEAR", tmp_path / "absent" / "clear_refs")
    forget_peak(CPU)
    assert peak_memory(CPU) > 10_000_000
