"""A run in a number format that the device can only imitate."""

import pytest
from tiny_project import SCALE, TEACHER, TinyProject

from kdbench.engine import precision
from kdbench.runs import execute
from kdbench.runs.job import PhaseResult
from kdbench.store.teacher_runs import DataRun, TeacherRun


@pytest.mark.parametrize("has_it", [False, True])
def test_a_run_says_once_that_this_cpu_has_no_bfloat16(tmp_path, monkeypatch, has_it):
    """Before it starts, and what to do; the data phase, which computes nothing, says nothing."""
    project = TinyProject(tmp_path, scales={"smoke": {**SCALE, "precision": "bf16"}})
    monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda: has_it)
    monkeypatch.setenv("KDBENCH_DEVICE", "cpu")
    for phase in (DataRun, TeacherRun):
        monkeypatch.setitem(execute.PHASES, phase, lambda job: PhaseResult())

    lines = project.run(TEACHER).splitlines()
    warnings = [line for line in lines if "no bfloat16" in line]

    assert len(warnings) == (0 if has_it else 1)
    for line in warnings:
        assert line.startswith(f"{project.spec(TEACHER).title}: ")
        assert "precision: float32" in line
