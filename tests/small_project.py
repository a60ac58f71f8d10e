"""A small project driven by the real Snakemake, DVC and git."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from kdbench.workflow.served import SERVER

REPOSITORY = Path(__file__).parents[1]
FILES = ("Snakefile", "dvc.yaml", "params.yaml", ".dvcignore", ".gitignore")
FOLDERS = ("kdbench", "rules", "profiles")

# Digits in CIFAR-100's place at scale lite, whose records git keeps; two steps a run.
TINY = {
    "stand_in": True,
    "teacher_epochs": 1,
    "student_epochs": 1,
    "search_epochs": 1,
    "steps_per_epoch": 2,
    "batch": 16,
    "evaluate_every": 1,
    "precision": "float32",
}
PARAMS = {
    "scale": "lite",
    "datasets": ["cifar100"],
    "exhibits": ["distpro/table1"],
    "pairs": ["resnet56:resnet20"],
    "methods_only": ["none", "kd", "distpro"],
    "seeds": 1,
    "methods": {},
    "searches": {},
    "teachers": {},
    "encoders": {},
    "ranks": {},
    "tables": [],
    "scales": {"lite": TINY, "smoke": {**TINY, "batch": 8}},
    "plugins": [],
}


@dataclass(frozen=True)
class Project:
    """A project folder, and commands run in it.

    Attributes:
        root: the folder.
        server: socket of a server that does the jobs, see `servers.py`; "" where each job starts
            Python and torch of its own.
    """

    root: Path
    server: str = ""

    def __call__(self, *words: str, check: bool = True, **environment: str) -> str:
        """Run a command; returns all that it printed."""
        done = subprocess.run(
            words,
            cwd=self.root,
            env={**self.environment(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=500,
        )
        assert not check or done.returncode == 0, f"{' '.join(words)}\n{done.stdout}"
        return done.stdout

    def environment(self) -> dict[str, str]:
        """This project's own package, the tools beside this Python, no user's configuration."""
        names = {"GIT_AUTHOR_NAME": "T", "GIT_COMMITTER_NAME": "T"}
        mails = {"GIT_AUTHOR_EMAIL": "t@example.org", "GIT_COMMITTER_EMAIL": "t@example.org"}
        return {
            **os.environ,
            **names,
            **mails,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root),
            "KDBENCH_DEVICE": "cpu",
            "DVC_NO_ANALYTICS": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            **({SERVER: self.server} if self.server else {}),
        }

    def snakemake(self, *words: str) -> str:
        """Reproduce everything on two cores."""
        return self("snakemake", "--cores", "2", "reproduce_all", *words)

    def edit(self, **changes: object) -> None:
        """Change top-level keys of params.yaml."""
        file = self.root / "params.yaml"
        content = yaml.safe_load(file.read_text())
        file.write_text(yaml.safe_dump({**content, **changes}, sort_keys=False))

    def records(self) -> dict[str, tuple[int, bytes]]:
        """Time of writing and content of every record of a run (not of the report)."""
        files = (self.root / "results").glob("*/records/*/cifar100/*.json")
        return {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(files)}

    def commit(self, message: str) -> None:
        """Commit everything that git does not ignore."""
        self("git", "add", "--all")
        self("git", "commit", "--quiet", "--message", message)

    def copy(self, to: Path) -> "Project":
        """The same project elsewhere, with times of writing as they are."""
        shutil.copytree(self.root, to, symlinks=True)
        return replace(self, root=to)


def new_project(root: Path, **changes: object) -> Project:
    """A committed project with the repository's own files and small parameters."""
    root.mkdir(parents=True)
    for name in FILES:
        shutil.copy(REPOSITORY / name, root / name)
    for name in FOLDERS:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, root / name, ignore=ignore)
    project = Project(root)
    (root / "params.yaml").write_text(yaml.safe_dump({**PARAMS, **changes}, sort_keys=False))
    project("git", "init", "--quiet", "--initial-branch", "main")
    project("dvc", "init", "--quiet")
    project("dvc", "config", "core.analytics", "false")
    project.commit("A small project")
    return project
