"""DVC's copy of finished artifacts, with a DVC that only takes notes."""

import pytest
from tiny_project import TEACHER, TinyProject

from kdbench.store import dvc
from kdbench.store.artifacts import seal
from kdbench.store.tracked import restore_artifacts, track, track_all


class Notes:
    """What DVC was asked to add and to restore, and what it holds."""

    def __init__(self, held=frozenset()):
        self.held, self.added, self.asked = held, [], []


@pytest.fixture
def notes(monkeypatch):
    """DVC's calls, noted in place of being made."""
    notes = Notes()
    monkeypatch.setattr(dvc, "held", lambda *_: notes.held)
    monkeypatch.setattr(dvc, "in_use", lambda _: True)
    monkeypatch.setattr(dvc, "add", lambda _, runs, root: notes.added.extend(runs) or "")
    monkeypatch.setattr(dvc, "restore", lambda folders, *_: notes.asked.extend(folders))
    return notes


@pytest.fixture
def project(tmp_path):
    """A project whose teacher is finished, by hand."""
    project = TinyProject(tmp_path)
    folder = project.folder(TEACHER)
    folder.mkdir(parents=True)
    (folder / "best.safetensors").write_bytes(b"weights")
    seal(folder)
    project.record_file(TEACHER).parent.mkdir(parents=True)
    project.record_file(TEACHER).write_text("{}")
    return project


def tracked(project):
    """The teacher's folder of artifacts, and the one that DVC holds."""
    folder = project.folder(TEACHER)
    return folder, project.paths.tracked_run(folder)


def test_a_finished_run_gets_second_names_and_a_checkpoint_none(project, notes):
    """The files are linked, not copied; what is unfinished is not within DVC's reach."""
    folder, copy = tracked(project)
    begun = folder.with_name("begun.000000000000")
    begun.mkdir()
    (begun / "checkpoint.pt").touch()

    track(project.paths, "smoke", "teacher", "cifar100", print)

    assert (copy / "best.safetensors").samefile(folder / "best.safetensors")
    assert [path.name for path in copy.parent.iterdir()] == [folder.name]
    assert notes.added == [folder.name]


def test_what_dvc_holds_is_not_added_again(project, notes):
    """A second call has nothing to do, at whatever scale it is made."""
    track_all(project.paths, print)
    notes.held, notes.added = {tracked(project)[0].name}, []

    track_all(project.paths, print)

    assert notes.added == []
    assert notes.asked == []


def test_a_run_made_again_takes_the_place_of_its_copy(project, notes):
    """Weights that differ from those that DVC holds are added under the same name."""
    folder, copy = tracked(project)
    track_all(project.paths, print)
    notes.held, notes.added = {folder.name}, []
    (folder / "best.safetensors").unlink()
    (folder / "best.safetensors").write_bytes(b"other weights")
    seal(folder)

    track_all(project.paths, print)

    assert (copy / "best.safetensors").read_bytes() == b"other weights"
    assert notes.added == [folder.name]


def test_a_finished_run_that_dvc_does_not_name_is_looked_for(project, notes):
    """Its record is there, as after a merge, its artifacts are not: DVC is asked for them."""
    folder, copy = tracked(project)
    (folder / "artifacts.json").unlink()

    track_all(project.paths, print)

    assert notes.asked == [copy]
    assert notes.added == []


def test_artifacts_are_linked_back_from_the_copy(project, notes):
    """Where DVC's copy is sound nothing is pulled."""
    folder, copy = tracked(project)
    track_all(project.paths, print)
    for path in folder.iterdir():
        path.unlink()

    assert restore_artifacts([folder], project.paths, print)
    assert (copy / "best.safetensors").samefile(folder / "best.safetensors")
    assert notes.asked == []


def test_a_damaged_copy_is_not_linked_back(project, notes):
    """It is removed, so that DVC restores it from its cache."""
    folder, copy = tracked(project)
    track_all(project.paths, print)
    (copy / "best.safetensors").write_bytes(b"weighty")
    (folder / "artifacts.json").unlink()

    assert not restore_artifacts([folder], project.paths, print)
    assert not copy.exists()
    assert notes.asked == [copy]


def test_files_are_copied_where_there_are_no_hard_links(project, notes, monkeypatch):
    """As on some mounted volumes, or where results/ lies on several."""
    folder, copy = tracked(project)
    monkeypatch.setattr("os.link", refuse)

    track_all(project.paths, print)

    assert (copy / "best.safetensors").read_bytes() == b"weights"
    assert not (copy / "best.safetensors").samefile(folder / "best.safetensors")


def refuse(*_):
    """What `os.link` does across file systems."""
    raise OSError(18, "Invalid cross-device link")
