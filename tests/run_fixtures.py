"""Phases in this process: a finished project to look at or to copy, and a process put back."""

import os
import shutil
import signal

import pytest
from tiny_project import EVALUATION, TinyProject

from kdbench.store.artifacts import locked


@pytest.fixture
def process_as_before(monkeypatch):
    """Compute on the CPU; put back signal handlers and what a run sets for the whole process."""
    monkeypatch.setenv("KDBENCH_DEVICE", "cpu")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    import torch

    torch.use_deterministic_algorithms(False)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory):
    """A project with a teacher, a search, two students and their evaluation; never changed.

    All test workers have the one that the first of them makes.
    """
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "finished"
    with locked(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDBENCH_DEVICE", "cpu")
        project = TinyProject(folder / "project")
        project.run(EVALUATION)
    return project


@pytest.fixture
def finished(finished_once, tmp_path):
    """A copy of the finished project for one test to change."""
    shutil.copytree(finished_once.root, tmp_path / "project")
    return TinyProject(tmp_path / "project")
