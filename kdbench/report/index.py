"""The report's first page: every exhibit of a scale, its runs, and what is missing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from types import MappingProxyType

from kdbench.exhibits.claims import Claim
from kdbench.exhibits.tables import Exhibit
from kdbench.plan.graph import Graph
from kdbench.report.judgement.comparisons import ClaimState
from kdbench.report.judgement.outcomes import Judgement
from kdbench.report.markdown import bullets, paragraphs, pipe, quoted
from kdbench.report.presentation import TextTable, paper_label
from kdbench.report.readings.banner import banner, comparable, imported_teachers
from kdbench.report.readings.lines import ALL, command_of
from kdbench.report.readings.provenance import hours
from kdbench.report.readings.records import CellState, Records
from kdbench.report.readings.verdict import Verdict
from kdbench.report.render import Rendered
from kdbench.store.record import Seal
from kdbench.store.spec import PHASES

HOW_TO_READ = """\
- **ours** was measured by the runs of this report; **published** is printed in the paper and \
was not measured here. †, § and ‖ mark published numbers that we did not read in the paper itself; \
a note on the page names each source.
- ‡ marks a method whose source is not public or leaves much open; a note says how we read it.
- **not run yet**: the run is planned and has no record. **trained, not evaluated**: only the \
measurement is missing. **not built yet**: kdbench does not have this method. **diverged**: a \
loss or an evaluation was not finite; a note says when. **record altered**: the record does not \
match its seal; a note names it. **left out**: params.yaml excludes it. **not known**: we had no \
published number.
- The number in brackets after a mean is the number of runs; a single run has no spread.
- Every number comes from a record, a small JSON file; the CSV of a table names it.
"""

CLAIMS = """\
A claim holds if every comparison in it is clearly so: the 95 % interval of the difference \
(Welch's, over seeds) excludes 0. It does not hold if one comparison is clearly not so, by an \
interval that is wider the more comparisons there are (Bonferroni). Otherwise it is not testable \
yet. The mean lead over the columns, with its interval, says less than the paper but needs fewer \
seeds. The smallest lead that these seeds decide is half of such an interval; \
`docs/statistics.md` shows how often an exactly correct paper is confirmed. Statements without a \
published number are compared with our own thresholds, printed with the evidence; such a value \
comes from one run, and another seed might give another. If a scale's notice says that its \
numbers are not comparable, nothing is decided, and the evidence is that of this report's runs. \
`kdbench why ID`, with the id in brackets, shows one claim with the command for its missing runs.
"""

STATE_OF_FOLDED = ClaimState.UNTESTED.value

OTHERS = (
    "This plan does not include these exhibits. A report of another plan wrote their files, which "
    "were not changed:"
)


def index(
    graph: Graph,
    records: Records,
    rendered: Sequence[tuple[Exhibit, Rendered]],
    judged: Sequence[tuple[Claim, Judgement]] = (),
    others: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """README.md of a report, in Markdown.

    Args:
        graph: the plan.
        records: of the project.
        rendered: the exhibits.
        judged: the papers' claims, and what this report's runs say of them.
        others: files that a report of another plan left in the folder, by their exhibits' titles.
    """
    return "\n".join(
        [
            f"{quoted(banner(graph))}# kdbench report, scale {graph.scale.name}\n",
            f"{_about(graph)}\n",
            *_exhibits(graph, records, rendered),
            *_claims(judged),
            f"## How to read this\n\n{HOW_TO_READ}",
            f"## Runs\n\n{_counts(graph, records)}\n",
            *_seals(graph, records),
            *_diverged(graph, records),
            f"## What is missing\n\n{_missing(graph, records)}",
            *_others(others),
        ]
    )


def _about(graph: Graph) -> str:
    if comparable(graph):
        verdicts = "The protocol is the published one, so each cell gets a verdict."
        if imported_teachers(graph):
            verdicts = (
                "The protocol is the published one, so each cell gets a verdict, except those "
                "whose teacher was trained elsewhere."
            )
    else:
        verdicts = "No cell gets a verdict: these numbers are not comparable with published ones."
    pages = "`kdbench report` also writes this report as pages for a browser, `index.html`."
    return f"Measured numbers beside the published ones. {verdicts} {pages}"


def _claims(judged: Sequence[tuple[Claim, Judgement]]) -> list[str]:
    """The papers' claims, and what this report's runs say about them; empty without any."""
    if not judged:
        return []
    shown = [one for one in judged if not one[1].without_run]
    folded = [one for one in judged if one[1].without_run]
    parts = [f"## The papers' claims\n\n{CLAIMS}", _claims_table(shown) if shown else ""]
    if folded:
        summary = f"<summary>{len(folded)} without a finished run, {STATE_OF_FOLDED}</summary>"
        parts.append(f"<details>{summary}\n\n{_folded_table(folded)}\n</details>\n")
    return [paragraphs(parts)]


def _claims_table(judged: Sequence[tuple[Claim, Judgement]]) -> str:
    lines = [[claim.text, _place(claim), *_judged(judgement)] for claim, judgement in judged]
    return pipe(TextTable(["claim", "where", "state", "in the mean", "evidence"], lines))


def _folded_table(judged: Sequence[tuple[Claim, Judgement]]) -> str:
    """Without the state, which the summary line says of all."""
    lines = [[claim.text, _place(claim), judgement.evidence] for claim, judgement in judged]
    return pipe(TextTable(["claim", "where", "reason"], lines))


def _place(claim: Claim) -> str:
    return f"{claim.where} (`{claim.id}`)"


def _judged(judgement: Judgement) -> list[str]:
    """State, state of the mean lead if there is one, and the evidence of both."""
    state, mean = f"**{judgement.state.value}**", judgement.mean
    if mean is None:
        return [state, "", judgement.evidence]
    return [state, mean.state.value, f"{judgement.evidence}. In the mean: {mean.evidence}"]


def _others(others: Mapping[str, str]) -> list[str]:
    if not others:
        return []
    links = bullets([f"[{title}]({file})" for title, file in others.items()])
    return [f"\n## Not in this report\n\n{OTHERS}\n\n{links}\n"]


def _exhibits(
    graph: Graph, records: Records, rendered: Sequence[tuple[Exhibit, Rendered]]
) -> list[str]:
    """A table per paper of the exhibits that have a result; the others in one line."""
    parts = []
    for paper, group in groupby(rendered, key=lambda pair: pair[0].id.partition("/")[0]):
        entries = list(group)
        lines = [_entry(graph, records, *one) for one in entries if _done(graph, records, one[0])]
        waiting = [_link(*one) for one in entries if not _done(graph, records, one[0])]
        table = pipe(TextTable(["exhibit", "done", "standing"], lines)) if lines else ""
        empty = f"{CellState.NOT_RUN.value.capitalize()}: {'; '.join(waiting)}." if waiting else ""
        parts.append(f"## {paper_label(paper)}\n\n{paragraphs([table, empty])}\n")
    return parts or ["*params.yaml asks for no exhibit.*\n"]


def _done(graph: Graph, records: Records, exhibit: Exhibit) -> int:
    return sum(records.get(run) is not None for run in graph.behind(exhibit))


def _entry(graph: Graph, records: Records, exhibit: Exhibit, part: Rendered) -> list[str]:
    """Title with its page, how much is done, and the verdicts or the result in one sentence."""
    planned = len(graph.behind(exhibit))
    verdicts = Counter(line.result.verdict for line in part.lines if line.result.verdict)
    said = ", ".join(
        f"{verdicts[verdict]} {verdict.value}" for verdict in Verdict if verdicts[verdict]
    )
    lead = part.presentation.lead if part.presentation else ""
    return [_link(exhibit, part), f"{_done(graph, records, exhibit)} of {planned}", said or lead]


def _link(exhibit: Exhibit, part: Rendered) -> str:
    return f"[{exhibit.title}]({part.page})"


def _counts(graph: Graph, records: Records) -> str:
    lines = []
    for phase in PHASES:
        specs = [spec for spec in graph.runs.values() if spec.phase == phase]
        finished = [record for record in map(records.get, specs) if record]
        if specs:
            lines.append([phase, str(len(finished)), str(len(specs)), hours(finished)])
    everything = [record for record in map(records.get, graph.runs.values()) if record]
    lines.append(["**all**", str(len(everything)), str(len(graph.runs)), hours(everything)])
    table = TextTable(["phase", "done", "planned", "work"], lines)
    return pipe(table, aligned=("left", "right", "right", "right"))


def _seals(graph: Graph, records: Records) -> list[str]:
    """Changed records, how many have no seal that would show it, and data prepared again."""
    runs = list(graph.runs.values())
    lines = [f"Not used: {line}." for line in records.altered(runs)]
    unsealed = sum(records.seal(run) is Seal.ABSENT for run in runs)
    if unsealed:
        made = "record is" if unsealed == 1 else "records are"
        lines.append(f"{unsealed} {made} {Seal.ABSENT.value}.")
    lines += records.stale(runs)
    return [f"{bullets(lines)}\n"] if lines else []


def _diverged(graph: Graph, records: Records) -> list[str]:
    lines = [f"Diverged: {run}." for run in records.diverged(graph.runs.values())]
    return [f"{bullets(lines)}\n"] if lines else []


def _missing(graph: Graph, records: Records) -> str:
    missing = sum(records.seal(spec) is None for spec in graph.runs.values())
    pending = dict.fromkeys(
        f"{row.label} ({table.title})"
        for table in graph.tables()
        for row in table.rows
        if row.role == "pending"
    )
    not_built = f"Not built yet: {', '.join(pending)}.\n" if pending else ""
    if not missing:
        return f"Every planned run is finished.\n\n{not_built}".rstrip() + "\n"
    verb = "run is" if missing == 1 else "runs are"
    command = command_of(graph, records, ALL)
    return (
        f"{missing} of {len(graph.runs)} {verb} missing. "
        f"This command makes them and writes this report again:\n\n"
        f"```sh\n{command}\n```\n\n{not_built}"
    ).rstrip() + "\n"
