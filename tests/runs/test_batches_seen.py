"""Which images a training really sees."""

import pytest
from tiny_project import SCALE, TEACHER, TinyProject

from kdbench.data.loaders.in_memory import InMemoryLoader
from kdbench.errors import TryAgain

SHORT = {"smoke": {**SCALE, "teacher_epochs": 2}}


@pytest.fixture
def seen(monkeypatch):
    """Epoch, step and image positions of every training batch."""
    batches, serve = [], InMemoryLoader.batch

    def spy(loader, epoch, step):
        batch = serve(loader, epoch, step)
        batches.append((epoch, step, batch.index.tolist()))
        return batch

    monkeypatch.setattr(InMemoryLoader, "batch", spy)
    return batches


@pytest.mark.slow
def test_a_stopped_run_sees_the_batches_of_an_uninterrupted_one(tmp_path, seen):
    """Stopped after every step, it goes through the same batches, other ones in every epoch."""
    TinyProject(tmp_path / "whole", scales=SHORT).run(TEACHER)
    whole, calls = list(seen), 0
    seen.clear()
    other = TinyProject(tmp_path / "stopped", scales=SHORT)
    while not other.record_file(TEACHER).exists():
        calls += 1
        try:
            other.run(TEACHER, max_minutes=0)
        except TryAgain:
            assert not other.record_file(TEACHER).exists()

    assert [(epoch, step) for epoch, step, _ in whole] == [(e, s) for e in (0, 1) for s in range(3)]
    assert len({tuple(index) for _, _, index in whole}) == 6
    assert calls >= 6
    assert seen == whole
    assert other.files() == TinyProject(tmp_path / "whole").files()
