"""A small project under fire: its processes, its finished runs, and what is lost of them."""

import json
import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
from small_project import Project
from tiny_project import without_times

from kdbench.plan.graph import load_graph
from kdbench.runs.execute import CLOCK
from kdbench.store.paths import CHECKPOINTS, Paths

LIMIT = 1500  # seconds that a command may take before it counts as stuck
VERIFY = ("kdbench", "verify", "--repair", "--scale", "smoke")
REPRODUCE = ("snakemake", "--cores", "2", "reproduce_all")


class World:
    """One project folder, and whatever runs in it.

    Attributes:
        project: the folder and its environment.
        rng: of the faults.
        shift: of the clock of commands that are started, such as "+1y"; "" for the true one.
        spoiled: files that a fault has damaged.
        remade: records that were written again.
        unlocked: how often Snakemake asked for --unlock.
    """

    def __init__(self, project: Project, rng: random.Random) -> None:
        self.project, self.rng, self.shift = project, rng, ""
        self.paths = Paths(project.root)
        self.runs = list(load_graph(project.root).runs.values())
        self.spoiled: set[Path] = set()
        self.remade = self.unlocked = 0
        self.output = ""
        self._seen: dict[Path, int] = {}

    def start(self, *words: str, log: str = "chaos.log") -> subprocess.Popen[bytes]:
        """Start a command in a session of its own; what it prints goes to a file beside the folder.

        So that a full disk of the project's does not matter to it.
        """
        environment = {**self.project.environment(), "KDBENCH_CHECKPOINT_SECONDS": "0"}
        # No clock that jumps takes the monotonic one with it, which waiting threads go by.
        clock = ("faketime", "--exclude-monotonic", "-f", self.shift) if self.shift else ()
        with self._log(log).open("wb") as output:
            return subprocess.Popen(
                (*clock, *(words or REPRODUCE)),
                cwd=self.project.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _log(self, name: str) -> Path:
        return self.project.root.with_name(f"{self.project.root.name}.{name}")

    def wait(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        """Let a command work for so long, or until it has ended."""
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)

    def end(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for a command's end; note what it printed, and which records it wrote again."""
        try:
            code = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(f"stuck after {LIMIT} seconds: {process.args}") from None
        self.output = self._log("chaos.log").read_text(errors="replace")
        if "--unlock" in self.output:
            self.unlocked += 1
            self.project("snakemake", "--unlock", check=False)
        for file, written in self.records().items():
            self.remade += self._seen.get(file, written) != written
            self._seen[file] = written
        return code

    def idle(self) -> None:
        """Wait for jobs that outlive the command that started them."""
        deadline = time.monotonic() + LIMIT
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.2)

    def kill(self) -> None:
        """End whatever still works in this folder."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()

    def processes(self, kind: str = "") -> list[psutil.Process]:
        """Processes that work in this folder, with a word in their command line."""
        own = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                line = " ".join(process.cmdline())
                inside = process.cwd() == str(self.project.root.resolve())
                if inside and kind in line and process.status() != psutil.STATUS_ZOMBIE:
                    own.append(process)
        return own

    def records(self) -> dict[Path, int]:
        """Every record of the plan with the time of its writing."""
        files = [self.paths.record(run) for run in self.runs]
        return {file: file.stat().st_mtime_ns for file in files if file.is_file()}

    def done(self) -> bool:
        """Whether every run has a record."""
        return len(self.records()) == len(self.runs)

    def lost(self, before: dict[Path, int]) -> list[str]:
        """Records that were there, were not damaged by a fault, and are gone."""
        left = self.records()
        return [file.name for file in before if file not in left and file not in self.spoiled]

    def files(self, pattern: str) -> list[Path]:
        """Files below results/, in order."""
        return sorted(self.project.root.glob(f"results/{pattern}"))

    def content(self) -> dict[str, object]:
        """Records but for their times, and the bytes of every artifact."""
        content: dict[str, object] = {}
        for run in self.runs:
            record = without_times(json.loads(self.paths.record(run).read_text()))
            record["notes"] = [note for note in record["notes"] if not self._due(note)]
            record["metrics"].pop("latency", None)  # a time as well
            # Every project is a repository of its own; and Git may be hit while it is asked.
            for name in ("commit", "origins"):
                record["provenance"].pop(name, None)
            content[run.title] = record
            folder = self.paths.artifacts(run)
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    content[f"{run.title}: {file.relative_to(folder)}"] = file.read_bytes()
        return content

    def _due(self, note: str) -> bool:
        """Whether a record rightly says what a fault did: to the clock, or to a record it read."""
        spoiled = [run.title for run in self.runs if self.paths.record(run) in self.spoiled]
        starts = [
            f"the {part} of {title} " for part in ("record", "artifacts") for title in spoiled
        ]
        return note == CLOCK or note.startswith(tuple(starts))

    def leftovers(self) -> list[str]:
        """Checkpoints, locks and temporary files that nobody needs any more."""
        files = [path for path in self.files("*/*/**/*") if path.is_file()]
        return [p.name for p in files if p.name in CHECKPOINTS or p.name.startswith(".")]
