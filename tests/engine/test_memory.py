"""The peak of one run is not that of another one in the same process."""

import os
import platform

import numpy as np
import pytest
import torch

from kdbench.engine import memory
from kdbench.engine.memory import CLEAR, forget_peak, peak_memory

CPU = torch.device("cpu")
LARGE = 200_000_000  # bytes


def test_the_peak_includes_memory_that_was_freed():
    """A large array counts after it is gone."""
    before = peak_memory(CPU)
    array = np.ones(LARGE // 8)
    del array
    assert peak_memory(CPU) >= max(before, LARGE)


@pytest.mark.skipif(not os.access(CLEAR, os.W_OK), reason="the system cannot forget a peak")
def test_a_forgotten_peak_does_not_count():
    """The next peak is that of what came after."""
    array = np.ones(LARGE // 8)
    held = peak_memory(CPU)
    del array
    forget_peak(CPU)
    assert peak_memory(CPU) < held - LARGE / 2


@pytest.mark.skipif(platform.system() == "Windows", reason="no resource usage there")
def test_without_proc_the_peak_is_that_of_the_process(monkeypatch, tmp_path):
    """As on macOS: nothing is forgotten, nothing fails."""
    monkeypatch.setattr(memory, "STATUS", tmp_path / "absent" / "status")
    monkeypatch.setattr(memory, "CLEAR", tmp_path / "absent" / "clear_refs")
    forget_peak(CPU)
    assert peak_memory(CPU) > 10_000_000
