"""The command line: parse, call one function, print. Slow imports wait for the command."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.cli.cite import cite_command
from kdbench.cli.compare import compare_command
from kdbench.cli.data import app as data_app
from kdbench.cli.doctor import doctor_command
from kdbench.cli.encoder import app as encoder_app
from kdbench.cli.estimate import estimate_command
from kdbench.cli.export import export_command
from kdbench.cli.merge import merge_command, share_command
from kdbench.cli.method import app as method_app
from kdbench.cli.method import outside_plugins
from kdbench.cli.overrides import overrides_of
from kdbench.cli.prune import prune_command
from kdbench.cli.redo import redo_command
from kdbench.cli.run_options import options_of
from kdbench.cli.schema import schema_command
from kdbench.cli.teacher import app as teacher_app
from kdbench.cli.tune import tune_command
from kdbench.cli.verify import verify_command
from kdbench.cli.version import version_option
from kdbench.cli.watch import watch_command
from kdbench.cli.why import why_command
from kdbench.cli.zoo import zoo_command
from kdbench.console import fail, print_what_can_be, say, start_bar
from kdbench.errors import BadValue, UnknownName, UserError

if TYPE_CHECKING:
    from kdbench.plan.graph import Graph
    from kdbench.plan.params import Params

USAGE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]  # of the click that typer uses
app = typer.Typer(
    help="Reproduce the tables and figures of papers that search how to distil knowledge. Run it "
    "in a project folder, which holds params.yaml.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.callback()(version_option)
# Headings of `kdbench --help`, in the order in which a project needs them.
BEFORE, RUNS, RESULTS = "Before runs start", "Runs", "Results"
RECORDS, OWN, PROJECT = "Records and artifacts", "Your own", "Files of this repository"
for _name, _function, _heading in (
    ("doctor", doctor_command, BEFORE),
    ("estimate", estimate_command, BEFORE),
    ("tune", tune_command, RUNS),
    ("watch", watch_command, RUNS),
    ("why", why_command, RESULTS),
    ("compare", compare_command, RESULTS),
    ("cite", cite_command, RESULTS),
    ("export", export_command, RESULTS),
    ("share", share_command, RECORDS),
    ("merge", merge_command, RECORDS),
    ("verify", verify_command, RECORDS),
    ("redo", redo_command, RECORDS),
    ("prune", prune_command, RECORDS),
    ("schema", schema_command, PROJECT),
    ("zoo", zoo_command, PROJECT),
):
    app.command(_name, rich_help_panel=_heading)(_function)
for _name, _group in (
    ("method", method_app),
    ("data", data_app),
    ("teacher", teacher_app),
    ("encoder", encoder_app),
):
    app.add_typer(_group, name=_name, rich_help_panel=OWN)

Scale = Annotated[
    str | None, typer.Option(help="smoke, lite or paper; by default that of params.yaml.")
]
Override = Annotated[
    str | None,
    typer.Option(metavar="JSON", help="Replaces top-level keys of params.yaml, for this call."),
]
Minutes = Annotated[
    float | None,
    typer.Option(min=0, help="Stop with a checkpoint after this time; run again to resume."),
]


def _graph(scale: str | None, override: str | None) -> "Graph":
    """The plan of params.yaml in the current folder, with what the options replace."""
    from kdbench.plan.graph import load_graph

    return load_graph(Path(), overrides_of(scale, override))


def _fitting(scale: str | None, override: str | None) -> "tuple[Params | None, list[str]]":
    """What to plan without the parts of own tables that fit no task, and a line for each part."""
    from kdbench.plan.components import find_components
    from kdbench.plan.misfits import without_misfits
    from kdbench.plan.params import FILE, load_params

    params = load_params(Path(FILE), overrides_of(scale, override))
    return without_misfits(params, find_components(params.plugins))


@app.command(rich_help_panel=RUNS)
def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="Digests (or their first letters), cells, or phase/cell."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All planned runs, one after another.")
    ] = False,
    scale: Scale = None,
    override: Override = None,
    max_minutes: Minutes = None,
    together: Annotated[
        int, typer.Option(min=1, max=64, help="Trainings and searches at once in this process.")
    ] = 1,
) -> None:
    """Make runs and what they need, without Snakemake; resumes from checkpoints.

    Example: kdbench run wrn-40-2_wrn-16-2_kd_s0 --scale smoke
    """
    from kdbench.store.paths import Paths
    from kdbench.workflow.named import find_run

    if bool(names) == everything:
        given = f"{' '.join(names or ())!r} and --all" if everything else "neither"
        raise BadValue("kdbench run", given, "the name of a run, or --all")
    graph = _graph(scale, override)
    specs = [find_run(graph, name) for name in names or ()] or list(graph.runs.values())
    from kdbench.runs import execute  # loads torch, so only after the names were checked
    from kdbench.runs.crew import joined
    from kdbench.runs.together import run_together

    with joined() as crew:
        options, failed = options_of(max_minutes, crew), 0
        if together > 1 and crew.ranks.size > 1:
            expected = "1 where several ranks share a run"
            raise BadValue("kdbench run, --together", together, expected)
        if not crew.leads:
            execute.follow(specs, Paths(), options)
        elif len(specs) == 1:
            execute.run(specs[0], Paths(), options)
        elif together > 1:
            failed = run_together(specs, Paths(), options, together)
        else:
            failed = execute.run_all(specs, Paths(), options)
        if failed:
            raise UserError(f"{failed} of {len(specs)} runs failed; see the lines above")


@app.command(rich_help_panel=RECORDS)
def restore(
    name: Annotated[str, typer.Argument(help="A run's digest or cell.")],
    scale: Scale = None,
    override: Override = None,
    max_minutes: Minutes = None,
) -> None:
    """Restore a finished run's artifacts: from the DVC remote, or by making the run again.

    Example: kdbench restore wrn-40-2 --scale lite
    """
    from kdbench.store.paths import Paths
    from kdbench.workflow.named import find_run

    paths, spec = Paths(), find_run(_graph(scale, override), name, with_artifacts=True)
    if paths.record(spec).is_file() and paths.manifest(spec).is_file():
        say(f"{spec.title}: its artifacts are here")
    from kdbench.runs import execute
    from kdbench.runs.crew import joined

    with joined() as crew:
        options = options_of(max_minutes, crew)
        if crew.leads:
            execute.provide(spec, paths, options, options.stopper())
        else:
            execute.follow([spec], paths, options)


@app.command(rich_help_panel=RUNS)
def build(
    phase: Annotated[
        str, typer.Argument(help="data, teacher, search, student, evaluation, report")
    ],
    dataset: Annotated[
        str | None,
        typer.Argument(help="The data set, for instance cifar100; by default the DVC stage's."),
    ] = None,
    scale: Scale = None,
    override: Override = None,
    cores: Annotated[int | None, typer.Option(min=1, help="CPU cores; by default all.")] = None,
) -> None:
    """Make all runs of one phase on one data set with Snakemake; DVC's stages call this.

    Example: kdbench build teacher cifar100
    """
    from kdbench.store.paths import Paths
    from kdbench.workflow.dvc_stage import build_stage

    raise typer.Exit(build_stage(_graph(scale, override), Paths(), phase, dataset, cores))


@app.command(rich_help_panel=RUNS)
def status(
    name: Annotated[
        str | None,
        typer.Argument(help="A run, by digest or cell: what it reads, what makes it; an exhibit."),
    ] = None,
    scale: Scale = None,
    override: Override = None,
    runs: Annotated[bool, typer.Option("--runs", help="List every run.")] = False,
) -> None:
    """Show finished, missing and running runs per exhibit, or the details of one run or exhibit.

    Example: kdbench status --scale lite --runs
    """
    from kdbench.store.paths import Paths
    from kdbench.workflow.named import find_exhibit, find_run
    from kdbench.workflow.one_run import at_work, describe_run
    from kdbench.workflow.status import describe, describe_exhibit, list_runs

    graph, paths = _graph(scale, override), Paths()
    if name is not None and (exhibit := find_exhibit(graph, name)):
        lines = [*describe_exhibit(exhibit, graph, paths, runs=runs)]
    elif name is not None:
        lines = [*describe_run(find_run(graph, name), graph, paths)]
    else:
        lines = [*(list_runs(graph, paths) if runs else describe(graph, paths))]
        lines += [f"  at work: {run.title}  {said}" for run, said in at_work(graph, paths)]
    for line in lines:  # all of them, or an error
        say(line)


@app.command("check", rich_help_panel=BEFORE)
def check_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Methods, searches, networks, data sets or pairs to try; by default all.",
        ),
    ] = None,
    scale: Scale = None,
    override: Override = None,
) -> None:
    """Try every planned network, method and search once on random images, without training.

    Example: kdbench check --scale paper --override '{"exhibits": ["crd"]}'
    """
    from kdbench.plan.graph import make_graph
    from kdbench.plan.params import blamed_on_call
    from kdbench.store.paths import Paths
    from kdbench.workflow.status import absent_encoders, absent_teachers

    with blamed_on_call(overrides_of(scale, override)):
        params, problems = _fitting(scale, override)
        graph = make_graph(params) if params else None
    if graph:
        from kdbench.runs.check import check

        problems += check(graph, say, paths=Paths(), names=names or (), start_bar=start_bar)
        problems += absent_teachers(graph, Paths()) + absent_encoders(graph, Paths())
    if problems:
        print(*problems, sep="\n", file=sys.stderr)
        raise UserError(f"{len(problems)} of them cannot run; see the lines above")
    say("all of them can run")


@app.command(rich_help_panel=RESULTS)
def report(scale: Scale = None, override: Override = None) -> None:
    """Write the tables and figures from the records that exist.

    Records that were changed after their runs are not used: a line for each, and an error.

    Example: kdbench report --scale lite
    """
    from kdbench.report.readings.records import Records
    from kdbench.store.paths import Paths
    from kdbench.workflow.left_out import left_out
    from kdbench.workflow.report import write_report

    graph, paths = _graph(scale, override), Paths()
    records = Records(paths)
    for page in write_report(graph, paths, records):
        say(str(page))
    for line in left_out(graph):
        print(line, file=sys.stderr)
    altered = records.altered(graph.runs.values())
    for line in altered:
        fail(UserError(line))
    raise typer.Exit(3 if altered else 0)


def main() -> None:
    """Entry point: user errors become one line and an exit code, those of usage too."""
    print_what_can_be()
    try:
        code = app(standalone_mode=False, prog_name="kdbench")  # also of python -m kdbench
    except UnknownName as error:
        sys.exit(fail(UserError(f"{error}{outside_plugins(error.name)}")))
    except UserError as error:
        sys.exit(fail(error))
    except typer.Abort:
        sys.exit(130)
    except USAGE_ERROR as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its help is printed
            sys.exit(2)
        sys.exit(fail(_usage(error)))
    sys.exit(code if isinstance(code, int) else 0)


def _usage(error: Exception) -> UserError:
    """The error of a wrong command line, with the `--help` to read."""
    context = getattr(error, "ctx", None)
    path = context.command_path.split()[1:] if context else []
    words = " ".join(["kdbench", *path])
    message = error.format_message().rstrip(".")  # type: ignore[attr-defined]
    return UserError(f"{f'{words}: ' if path else ''}{message}; see {words} --help")
