"""`kdbench doctor` finds every fault that is put in its way, and none in a sound project."""

import errno
import shutil
from dataclasses import replace

import pytest
from filelock import FileLock

from kdbench.plan.graph import make_graph
from kdbench.plan.params import Params
from kdbench.store.paths import Paths
from kdbench.store.record import write_record
from kdbench.workflow.doctor.examine import examine
from kdbench.workflow.doctor.findings import CARE, FINE, WRONG
from kdbench.workflow.doctor.machine import Machine

SOUND = Machine(
    python="3.11.7",
    installed={"torch": "2.9.0", "numpy": "2.4.6"},
    required=("torch>=2.8", "numpy", 'pytest; extra == "dev"'),
    cores=2,
    memory=16_000_000_000,
    free=500_000_000_000,
    shared_memory=8_000_000_000,
    file_system="ext4 at /",
    gpus=0,
    cuda=None,
    environment={},
)
TABLE = {"exhibits": ["distpro/table1"], "pairs": ["resnet56:resnet20"]}


@pytest.fixture(name="project")
def sound_project(tmp_path):
    """A project folder in which nothing is wrong."""
    for file in ("Snakefile", "rules/report.smk", "dvc.yaml", "dvc.lock", ".dvc/config"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("")
    (tmp_path / ".dvc/config").write_text("['remote \"store\"']\n    url = /store\n")
    (tmp_path / ".git").mkdir()
    return Paths(tmp_path)


def findings(project, machine=SOUND, **params):
    """Lines of what is not fine."""
    graph = make_graph(Params(**{**TABLE, **params}))
    seen = list(examine(graph, project, machine))
    assert {one.level for one in seen} <= {WRONG, CARE, FINE}
    assert all(one.advice or one.level != WRONG for one in seen)
    return [one.line for one in seen if one.level != FINE]


def test_a_sound_project_has_no_finding(project):
    """Every check ran, and all of them are fine."""
    assert findings(project) == []


MACHINES = {
    "an old Python": ({"python": "3.10.2"}, "wrong  python: 3.10.2"),
    "an old torch": ({"installed": {"torch": "2.7.1", "numpy": "2"}}, "torch 2.7.1, but >=2.8"),
    "an absent package": ({"installed": {"torch": "2.9.0"}}, "numpy is not installed"),
    "fewer cores than threads": ({"cores": 0}, "1 threads per run on 0 cores"),
    "little memory": ({"memory": 1_000_000_000}, "memory: 1.0 GB"),
    "a full disk": ({"free": 100_000_000}, "wrong  disk: 0.1 GB free"),
    "a small /dev/shm": ({"shared_memory": 64_000_000}, "/dev/shm has 64 MB"),
    "a network file system": ({"file_system": "nfs4 at /home"}, "care   file system: nfs4"),
    "a GPU that torch cannot use": ({"gpus": 2}, "torch was built without CUDA"),
    "a GPU that is not there": (
        {"environment": {"KDBENCH_DEVICE": "cuda:0"}},
        "KDBENCH_DEVICE is cuda:0, and no GPU is visible",
    ),
    "a wrong variable": ({"environment": {"KDBENCH_GPUS": "many"}}, "KDBENCH_GPUS is 'many'"),
    "an unknown kind of lock": ({"environment": {"KDBENCH_LOCKS": "none"}}, "KDBENCH_LOCKS is"),
}


@pytest.mark.parametrize("fault", MACHINES)
def test_a_fault_of_the_machine_is_found(project, fault):
    """In one line of its own, and no other check speaks up."""
    changes, expected = MACHINES[fault]
    lines = findings(project, replace(SOUND, **changes))

    assert len(lines) == 1, lines
    assert expected in lines[0]


def refuse_locks(project, monkeypatch):
    """A file system without flock."""

    def refused(*_, **__):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(FileLock, "_acquire", refused)


def refuse_writing(project, monkeypatch):
    """A project that cannot be written."""

    def refused(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("tempfile.mkdtemp", refused)


def refuse_links(project, monkeypatch):
    """A file system without hard links."""

    def refused(*_, **__):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", refused)


def teacher_of(project):
    """The plan's teacher, and its record's path."""
    run = make_graph(Params(**TABLE)).run("teacher/resnet56")
    return run, project.record(run)


def alter_record(project, monkeypatch):
    """A record that was edited."""
    run, path = teacher_of(project)
    write_record(path, {"spec": run.as_dict(), "metrics": {"top1": 70.0}})
    path.write_text(path.read_text().replace("70.0", "79.0"))


def diverge(project, monkeypatch):
    """A run whose loss was not finite."""
    run, _ = teacher_of(project)
    write_record(project.diverged(run), {"title": run.title})


def mark_of_a_merge(project, monkeypatch):
    """Both sides of a merge in dvc.lock, which YAML cannot read either."""
    (project.root / "dvc.lock").write_text("<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> other\n")


FAULTS = {
    "no locks": (refuse_locks, ["refuses locks (Function not implemented)"]),
    "a read-only disk": (refuse_writing, ["cannot be written: Read-only file system"]),
    "no hard links": (refuse_links, ["has no hard links"]),
    "an altered record": (alter_record, ["1 of 1 are damaged"]),
    "a diverged run": (diverge, ["1 runs diverged"]),
    "marks of a merge": (mark_of_a_merge, ["has marks of a merge", "dvc.lock: "]),
    "no DVC": (lambda p, _: shutil.rmtree(p.root / ".dvc"), ["not under DVC"]),
    "no remote": (lambda p, _: (p.root / ".dvc/config").write_text(""), ["no remote"]),
    "locks of DVC": (
        lambda p, _: [
            (p.root / ".dvc/tmp").mkdir(),
            (p.root / ".dvc/tmp/rwlock").write_text('{"a": 1}'),
        ],
        ["its locks name processes"],
    ),
    "no Snakefile": (lambda p, _: (p.root / "Snakefile").unlink(), ["no file Snakefile"]),
    "locks of Snakemake": (
        lambda p, _: [
            (p.root / ".snakemake/locks").mkdir(parents=True),
            (p.root / ".snakemake/locks/0.output.lock").write_text("a\n"),
        ],
        ["1 lock files of calls that were killed"],
    ),
    "an unfinished merge": (
        lambda p, _: (p.root / ".git/MERGE_HEAD").write_text("0" * 40),
        ["a merge is not finished"],
    ),
}


def test_what_every_dvc_command_leaves_is_no_fault(project):
    """The number of the last process in `lock`, which its end released."""
    folder = project.root / ".dvc/tmp"
    folder.mkdir()
    (folder / "lock").write_text("  5688\n")
    (folder / "rwlock").write_text("{}")

    assert not any("locks name processes" in line for line in findings(project))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_project_is_found(project, monkeypatch, fault):
    """Each by the check that it belongs to."""
    make, expected = FAULTS[fault]
    make(project, monkeypatch)
    lines = findings(project)

    assert len(lines) == len(expected), lines
    for part in expected:
        assert any(part in line for line in lines)


def test_runs_at_work_and_a_call_of_snakemake_are_seen(project):
    """Locks that are held; none of them is wrong."""
    run, _ = teacher_of(project)
    lock = project.artifacts(run) / ".lock"
    call = project.root / ".snakemake/kdbench-smoke.lock"
    for file in (lock, call):
        file.parent.mkdir(parents=True)
    with FileLock(lock), FileLock(call):
        lines = findings(project)

    assert sorted(line.split(":")[0] for line in lines) == ["care   locks", "care   snakemake"]


def test_data_that_is_not_prepared_is_found(project):
    """At scales with real images, by name, with the command that prepares it."""
    (line,) = findings(project, scale="lite")

    assert line == "care   data: cifar100 is not prepared; kdbench data prepare cifar100"


def test_damaged_data_is_found(project):
    """What lies there cannot be opened."""
    (project.data / "cifar100").mkdir(parents=True)
    (project.data / "cifar100/meta.json").write_text("{")
    (line,) = findings(project, scale="lite")

    assert line.startswith("wrong  data: cifar100: ")


def test_an_imported_teacher_that_is_not_here_is_found(project):
    """params.yaml names a checkpoint that no folder has."""
    lines = findings(project, scale="lite", teachers={"cifar100/resnet56": "0" * 64})

    assert any(
        line.startswith("wrong  data: teachers, cifar100/resnet56: no file") for line in lines
    )


def test_this_machine_can_be_read(tmp_path):
    """Facts of the right kinds; pytest's own environment meets what kdbench requires."""
    machine = Machine.this(tmp_path)

    assert machine.cores >= 1 and machine.free > 0
    assert machine.python.count(".") == 2 and "torch" in machine.installed
    assert any(text.startswith("torch") for text in machine.required)
