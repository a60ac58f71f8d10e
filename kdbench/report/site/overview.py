"""The first screen: what was reproduced, the claims, and the time of the missing runs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from kdbench.exhibits.claims import Claim
from kdbench.exhibits.tables import Exhibit
from kdbench.plan.graph import Graph
from kdbench.report.judgement.needed import needed
from kdbench.report.judgement.outcomes import Judgement
from kdbench.report.presentation import paper_label
from kdbench.report.readings.lines import ALL, Line, command_of
from kdbench.report.readings.records import Records
from kdbench.report.site.words import STANDINGS, standing
from kdbench.store.spec import RunSpec


@dataclass(frozen=True)
class Bar:
    """One paper: how many of its cells stand where, in the order of `STANDINGS`."""

    paper: str
    label: str
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """All cells that are planned."""
        return sum(self.counts.values())

    @property
    def measured(self) -> int:
        """Those with a number."""
        lacking = ("not run yet", "trained, not evaluated", "diverged", "record altered")
        return sum(n for state, n in self.counts.items() if state not in lacking)


@dataclass(frozen=True)
class Work:
    """How much of something is done, and what the rest takes.

    Attributes:
        seconds: of the runs that are missing, at the mean of the finished ones of their phase at
            this scale; None where nothing is known of a phase.
        command: makes the rest.
    """

    done: int
    planned: int
    seconds: float | None
    command: str

    @property
    def missing(self) -> int:
        """Runs to do."""
        return self.planned - self.done


@dataclass(frozen=True)
class ClaimView:
    """A claim, how it stands, and what deciding it takes."""

    claim: Claim
    paper: str
    judgement: Judgement
    exhibits: Sequence[Exhibit]
    work: Work


@dataclass(frozen=True)
class Entry:
    """One exhibit in the list of contents."""

    exhibit: Exhibit
    kind: str
    paper: str
    done: int
    planned: int


class Overview:
    """What the first screen shows of a report."""

    def __init__(
        self,
        graph: Graph,
        records: Records,
        lines: Sequence[Line],
        judged: Sequence[tuple[Claim, Judgement]],
    ) -> None:
        self.graph, self.records = graph, records
        self.bars = _bars(lines)
        self._means = _mean_seconds(graph, records)
        self.all = self.work(graph.runs.values(), command_of(graph, records, ALL))
        self.claims = [self._claim(*one) for one in judged]
        self.entries = [self._entry(exhibit) for exhibit in graph.exhibits]

    def work(self, runs: Iterable[RunSpec], command: str) -> Work:
        """How much of these runs is done and what the others take."""
        specs = list(runs)
        missing = [spec for spec in specs if self.records.get(spec) is None]
        means = [self._means.get(spec.phase) for spec in missing]
        known = [mean for mean in means if mean is not None]
        seconds = sum(known) if len(known) == len(means) else None
        return Work(len(specs) - len(missing), len(specs), seconds, command)

    def command_for(self, exhibits: Sequence[str], methods: Sequence[str] = ()) -> str:
        """The command that makes some exhibits, under today's params.yaml; "" for none.

        Args:
            exhibits: their ids.
            methods: those to which `methods_only` limits them; none for all.
        """
        more = {"methods_only": list(methods)} if methods else {}
        command = command_of(self.graph, self.records, ALL, exhibits=list(exhibits), **more)
        return command if exhibits else ""

    def _claim(self, claim: Claim, judgement: Judgement) -> ClaimView:
        need = needed(claim, self.graph, self.records)
        command = self.command_for([exhibit.id for exhibit in need.exhibits], need.methods)
        work = self.work(need.runs.values(), command)
        paper = paper_label(claim.id.partition("/")[0])
        return ClaimView(claim, paper, judgement, need.exhibits, work)

    def _entry(self, exhibit: Exhibit) -> Entry:
        runs = self.graph.behind(exhibit)
        done = sum(self.records.get(run) is not None for run in runs)
        kind = type(exhibit).__name__.lower()
        paper = paper_label(exhibit.id.partition("/")[0])
        return Entry(exhibit, kind, paper, done, len(runs))


def _bars(lines: Sequence[Line]) -> list[Bar]:
    papers = dict.fromkeys(line.paper for line in lines)
    bars = []
    for paper in papers:
        own = Counter(standing(line) for line in lines if line.paper == paper)
        counts = {state: own[state] for state in STANDINGS if own[state]}
        if counts:
            bars.append(Bar(paper, paper_label(paper), counts))
    return bars


def _mean_seconds(graph: Graph, records: Records) -> dict[str, float]:
    """Mean device work of a finished run, by phase."""
    seconds: dict[str, list[float]] = {}
    for spec in graph.runs.values():
        if record := records.get(spec):
            seconds.setdefault(spec.phase, []).append(record.number("cost", "seconds"))
    return {phase: fmean(values) for phase, values in seconds.items()}
