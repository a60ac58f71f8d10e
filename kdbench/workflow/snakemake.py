"""What the Snakefile asks of the plan."""

import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from kdbench.console import fail, say
from kdbench.errors import BadValue, UserError
from kdbench.plan.graph import Graph, load_graph
from kdbench.plan.job_groups import JobGroups
from kdbench.plan.params import FILE, kind_of, load_params
from kdbench.plan.yaml_values import read_yaml
from kdbench.store.paths import Paths
from kdbench.store.spec import RunSpec
from kdbench.store.teacher_runs import ComputingRun, ranks_of
from kdbench.store.timings import read_timings
from kdbench.workflow.calls import PART
from kdbench.workflow.inputs import JobInputs
from kdbench.workflow.report import readmes, report_record, write_report
from kdbench.workflow.requests import Requests
from kdbench.workflow.served import SERVER
from kdbench.workflow.shown import shown
from kdbench.workflow.unused_settings import absent_methods

# Snakemake's plan of some thousand jobs is millions of objects that stay. Looking through all of
# them for garbage after every 700 new ones takes a sixth of the time of `snakemake -n`.
COLLECTED_AFTER = 200_000


class Workflow:
    """What the Snakefile asks.

    Args:
        config: Snakemake's configuration: what `--config` gave, over params.yaml.
        root: the project's folder.
        local: whether the jobs run on this machine; Snakemake knows it when it plans the jobs.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        root: Path = Path(),
        local: Callable[[], bool] = lambda: True,
    ) -> None:
        self.paths = Paths(root)
        written = load_params(root / FILE).model_dump(by_alias=True)
        self.overrides = {
            key: value
            for key, value in config.items()
            if key not in written or value != written[key]
        }
        self.graph: Graph = load_graph(root, self.overrides)
        self.scale = self.graph.params.scale
        self.job_groups = JobGroups(self.graph, self.paths)
        self._inputs = JobInputs(self.job_groups, self.paths)
        timings = read_timings(self.paths.timings)
        self.requests = Requests(self.graph.params, local, timings)
        self.readmes = [str(page) for page in readmes(self.graph, self.paths)]
        self.report_record = str(report_record(self.graph, self.paths))
        self.shown = list(shown(self.graph, self.paths))

    def command(self, words: str) -> str:
        """A rule's command, whose output goes into the rule's log.

        Args:
            words: its beginning, with Snakemake's wildcards; the options of this call follow. In
                a rule braces stand for wildcards, so those of JSON are doubled.
        """
        options = self.options.replace("{", "{{").replace("}", "}}")
        return f"{words} {options} > {{log:q}} 2>&1"

    @property
    def options(self) -> str:
        """Options that make `kdbench` plan what this Snakemake call plans."""
        others = {k: v for k, v in self.overrides.items() if k != "scale"}
        quoted = json.dumps(others).replace("'", "'\\''")
        return f"--scale {self.scale}" + (f" --override '{quoted}'" if others else "")

    def gpus(self, wildcards: Any) -> int:
        """GPUs that a job asks for."""
        return self.requests.gpus(self._made(wildcards))

    def minutes(self, wildcards: Any) -> int:
        """How long a job may take."""
        return self.requests.minutes(self._made(wildcards))

    def memory(self, wildcards: Any, attempt: int) -> int:
        """MB of main memory that a job asks for."""
        return self.requests.memory(self._made(wildcards), attempt)

    def upstream(self, wildcards: Any) -> list[str]:
        """Inputs of one job, see `JobInputs`."""
        return self._inputs.of(self.graph.runs[wildcards.digest])

    def cells(self, wildcards: Any) -> str:
        """What an evaluation's job makes: digests for `kdbench run`."""
        return " ".join(s.digest for s in self.job_groups.of(self.graph.runs[wildcards.digest]))

    def _made(self, wildcards: Any) -> list[RunSpec]:
        """All runs that a job makes one after the other: of cells, their students too."""
        cells = self.job_groups.of(self.graph.runs[wildcards.digest])
        students = [u for c in cells for u in c.upstream.values() if self.job_groups.within(u)]
        return [*students, *cells]

    def records(self) -> list[str]:
        """Records that jobs are asked for, of all runs.

        Where a job makes a student on the way to its evaluation, the student's record is asked for
        only if it is gone though every evaluation of it is there.
        """
        done = self._inputs.done
        needed = {
            upstream.digest
            for run in self.graph.runs.values()
            if not done(run)
            for upstream in run.upstream.values()
        }
        return [
            self._inputs.record(run)
            for run in self.graph.runs.values()
            if self.job_groups.asked(run)
            or (self.job_groups.within(run) and run.digest not in needed and not done(run))
        ]

    def missing(self) -> list[str]:
        """Records that a written report does not wait for: those that were deleted since."""
        if not Path(self.report_record).is_file():
            return []
        return [record for record in self.records() if not Path(record).is_file()]

    def start(self, local: bool) -> None:
        """Say what the jobs ask for; start a server for those that run here and take seconds."""
        left = [run for run in self.graph.runs.values() if not self._inputs.done(run)]
        if announcement := self.requests.announcement(left):
            say(announcement)
        for line in absent_methods(self.graph):
            say(line)
        if local and self.graph.scale.cells_per_job:
            serve_from(self.overrides)

    def report_anyway(self) -> None:
        """Some runs failed: the report says so, of those that belong to a whole call."""
        if not os.environ.get(PART):
            for page in write_report(self.graph, self.paths):
                say(f"The report of the finished runs: {page}")

    def threads(self, wildcards: Any) -> int:
        """CPU threads of one job, of all its ranks."""
        run = self.graph.runs[wildcards.digest]
        each = run.runtime.threads if isinstance(run, ComputingRun) else 1
        return each * max(map(ranks_of, self._made(wildcards)))

    def launcher(self, wildcards: Any) -> str:
        """The prefix of a job's command: torchrun for runs of several ranks, else nothing."""
        count = self.requests.processes(self._made(wildcards))
        words = f"torchrun --standalone --nproc-per-node {count} --no-python "
        return words if count > 1 else ""


def serve_from(overrides: Mapping[str, Any]) -> None:
    """Start a server for the jobs of this process, and tell them where it is.

    Args:
        overrides: what the plan of the jobs says over params.yaml; the server plans it once.
    """
    address = Path(tempfile.mkdtemp(prefix="kdbench-")) / "socket"
    command = [sys.executable, "-P", "-m", "kdbench.cli.server", str(address)]
    command.append(json.dumps(overrides))
    subprocess.Popen(command, stdin=subprocess.PIPE)  # the pipe closes when this process ends
    os.environ[SERVER] = str(address)


def read_words(words: Iterable[str]) -> dict[str, Any]:
    """The `KEY=VALUE` words of `--config`, each value read as params.yaml would read it.

    Snakemake's own reading turns nested numbers into text and forgets which texts were quoted.

    Raises:
        BadValue: no YAML, or a key twice.
    """
    values: dict[str, Any] = {}
    for word in words:
        key, _, text = word.partition("=")
        if key in values:
            raise BadValue("--config", f"the key {key!r} again", "each key once")
        values[key] = read_yaml(text, f"--config, {key}", kind_of(key))
    return values


def plan_or_exit(
    config: Mapping[str, Any], words: object = (), local: Callable[[], bool] = lambda: True
) -> Workflow:
    """The Snakefile's first line: a mistake of the user's is one line, not a traceback.

    Args:
        config: what Snakemake made of `--configfile` and `--config`.
        words: of `--config` as they were typed.
        local: whether the jobs run on this machine.
    """
    gc.set_threshold(COLLECTED_AFTER)
    try:
        typed = read_words(words) if isinstance(words, list | tuple) else {}
        return Workflow({**config, **typed}, local=local)
    except UserError as error:
        sys.exit(fail(error))
