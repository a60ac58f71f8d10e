"""A project of a few training steps: small networks of a real exhibit, on digits."""

import shutil
from pathlib import Path

import yaml
from forked import COMMAND, Forked

from kdbench.plan.graph import load_graph
from kdbench.store.paths import Paths

TEACHER = "teacher/resnet56"
SEARCH = "search/resnet56_resnet20_distpro"
STUDENT = "student/resnet56_resnet20_distpro_s0"
OTHER_STUDENT = "student/resnet56_resnet20_distpro_s1"
EVALUATION = "evaluation/resnet56_resnet20_distpro"

SCALE = {
    # Fewer, and the running statistics of the teacher's batch norms are still so far off that its
    # maps explode and no alpha of a search moves.
    "teacher_epochs": 8,
    "student_epochs": 2,
    "search_epochs": 2,
    "steps_per_epoch": 3,
    "batch": 16,
    "evaluate_every": 1,
}
PARAMS = {
    "scale": "smoke",
    "exhibits": ["distpro/table1"],
    "pairs": ["resnet56:resnet20"],
    "seeds": 2,
}


class TinyProject:
    """A project folder, its runs in this process, and commands in processes of their own."""

    def __init__(self, root, **changes):
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        self.paths = Paths(self.root)
        if not (self.root / "params.yaml").exists():
            content = {**PARAMS, "scales": {"smoke": SCALE}, **changes}
            (self.root / "params.yaml").write_text(yaml.safe_dump(content))

    def edit(self, **changes):
        """Replace top-level keys of params.yaml."""
        file = self.root / "params.yaml"
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **changes}))

    def spec(self, name):
        """A run by `phase/cell`."""
        return load_graph(self.root).run(name)

    def run(self, name, **options):
        """Do a run and what it needs in this process; returns all lines that it printed."""
        from kdbench.runs.execute import Options, run

        lines = []
        run(self.spec(name), self.paths, Options(**{"say": lines.append, **options}))
        return "\n".join(lines)

    def folder(self, name):
        """The folder of a run's artifacts."""
        return self.paths.artifacts(self.spec(name))

    def record_file(self, name):
        """A run's record."""
        return self.paths.record(self.spec(name))

    def start(self, name, *words, code=COMMAND, seconds="0"):
        """Start `kdbench run` as a process of its own; `code` may first change the package."""
        settings = {"KDBENCH_CHECKPOINT_SECONDS": seconds, "KDBENCH_DEVICE": "cpu"}
        return Forked(code, ["run", name, *words], self.root, **settings)

    def command(self, name, *words, **options):
        """`kdbench run` to its end; returns the exit code and what it printed, errors last."""
        process = self.start(name, *words, **options)
        output, errors = process.communicate(timeout=300)
        return process.returncode, output + errors

    def undo(self, name):
        """Make a finished run an unfinished one."""
        self.record_file(name).unlink()
        shutil.rmtree(self.folder(name))

    def files(self):
        """Content of every artifact by path."""
        paths = sorted((self.root / "results").glob("*/artifacts/**/*"))
        return {str(p.relative_to(self.root)): p.read_bytes() for p in paths if p.is_file()}


def without_times(record):
    """A record but for what differs between two equal runs: clocks, memory, and so the seal."""
    cost = {k: v for k, v in record["cost"].items() if k in ("steps", "macs")}
    clocks = ("started", "finished")
    provenance = {k: v for k, v in record["provenance"].items() if k not in clocks}
    dropped = set(record["cost"]) - set(cost)
    assert dropped <= {"seconds", "wall_seconds", "images_per_second", "peak_memory_bytes"}
    kept = {k: v for k, v in record.items() if k != "seal"}
    return {**kept, "cost": cost, "provenance": provenance}
