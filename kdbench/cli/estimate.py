"""`kdbench estimate`: what a target will cost, before anything runs."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.cli.overrides import overrides_of
from kdbench.console import say
from kdbench.errors import BadValue

if TYPE_CHECKING:
    from kdbench.plan.graph import Graph
    from kdbench.store.paths import Paths
    from kdbench.workflow.estimate import Estimate, Groups, Machine

CORE_WATTS = 10.0
DEVICES = ("cpu", "cuda")
BOUND = (
    "No training reaches a peak, and small networks reach a few hundredths of it: these hours are "
    "A LOWER BOUND. --tflops takes what you measured."
)


def estimate_command(
    target: Annotated[
        str | None,
        typer.Argument(
            help="An exhibit, paper, claim or run, or all; by default as in params.yaml."
        ),
    ] = None,
    scale: Annotated[str | None, typer.Option(help="smoke, lite or paper.")] = None,
    override: Annotated[
        str | None, typer.Option(help="Replaces top-level keys of params.yaml.", metavar="JSON")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="cpu, cuda, or a GPU by name (h100); by default what this machine has."),
    ] = None,
    gpus: Annotated[int | None, typer.Option(min=1, help="GPUs; by default all.")] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="CPU cores; by default all.")] = None,
    seconds: Annotated[float, typer.Option(min=0, help="Seconds to time each kind of work.")] = 2.0,
    minutes: Annotated[
        float, typer.Option(min=0, help="Limit for all timing; the rest is scaled by operations.")
    ] = 5.0,
    tflops: Annotated[
        float | None,
        typer.Option(min=1e-6, help="Assume this speed; 2 operations per multiply-add."),
    ] = None,
    watts: Annotated[
        float | None,
        typer.Option(min=0, help="Power per GPU or core; by default from nvidia-smi, or 10."),
    ] = None,
    efficiency: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=1, help="Of runs of several ranks; by default what records measured."
        ),
    ] = None,
    kinds: Annotated[bool, typer.Option("--kinds", help="List every kind of work.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    save: Annotated[
        bool, typer.Option("--save", help="Let jobs request these minutes and this memory.")
    ] = False,
) -> None:
    """Estimate what unfinished runs will take: time, energy, memory and disk.

    It times real steps on random images for a few minutes and needs no data set.

    It says on stderr how far it is, and writes no file, except with --save, which keeps the timings
    in results/timings.json.

    Example: kdbench estimate distpro/table1 --scale paper --minutes 2
    """
    from kdbench.store.paths import Paths
    from kdbench.workflow.estimate import estimate, find_target
    from kdbench.workflow.scaling import with_efficiency

    graph, groups = find_target(Path(), overrides_of(scale, override), target)
    from kdbench.runs.estimate.lengths import short_epochs
    from kdbench.runs.estimate.measure import Budget

    on, machine, declared, sentences = _machine(graph, device, gpus, cores, tflops, watts)
    _check_timed(save, declared)
    machine, about = with_efficiency(machine, graph.runs.values(), Paths(), efficiency)
    sentences += about
    budget = Budget(seconds, minutes, declared)
    result = estimate(graph, groups, Paths(), machine, budget, _to_stderr, on)
    planned = [run for runs in groups.values() for run in runs]
    result.notes = sentences + short_epochs(planned, graph.components, Paths())
    if save:
        _save(result, groups, Paths(), on, _to_stderr if as_json else say)
    _show(result, as_json, kinds)


def _check_timed(save: bool, declared: float | None) -> None:
    """Refuse to save what was declared and not timed."""
    if save and declared is not None:
        advice = "leave out --tflops and a GPU's name"
        raise BadValue("--save", f"{declared:g} declared TFLOP/s", "timings", advice)


def _show(result: "Estimate", as_json: bool, kinds: bool) -> None:
    """Print JSON, or tables with their notes."""
    from kdbench.workflow.estimate_text import as_json as json_of
    from kdbench.workflow.estimate_text import kinds_table, notes, table

    if as_json:
        say(json.dumps(json_of(result), indent=2))
        return
    if kinds:
        say(kinds_table(result) + "\n")
    say(table(result))
    for line in notes(result):
        say(f"- {line}")


def _save(
    result: "Estimate", groups: "Groups", paths: "Paths", on: str, tell: Callable[[str], None]
) -> None:
    """Save the timings of unfinished runs."""
    import torch

    from kdbench.engine.environment import device_name
    from kdbench.store.timings import save_timings
    from kdbench.workflow.estimate import timings_of

    runs = [run for specs in groups.values() for run in specs if not paths.record(run).is_file()]
    timings = timings_of(result, runs, device_name(torch.device(on)))
    save_timings(paths.timings, timings)
    tell(f"{paths.timings}: jobs of {len(timings.runs)} runs will ask for what was timed")


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _machine(
    graph: "Graph",
    device: str | None,
    gpus: int | None,
    cores: int | None,
    tflops: float | None,
    watts: float | None,
) -> tuple[str, "Machine", float | None, list[str]]:
    """The device that computes here, the machine that runs are thought to run on, and about both.

    Between them the throughput that is declared in place of timings, if one is.

    Raises:
        BadValue: no such device, or a GPU that is not here and of which no throughput is given.
    """
    import torch

    from kdbench.engine.environment import device_name
    from kdbench.workflow.estimate import Machine, power_limit, start_up_seconds
    from kdbench.workflow.known_gpus import GPUS

    known, peak = GPUS.get((device or "").lower()), None
    if known is not None:
        device, peak = "cuda", known.peak(graph.scale.precision) if tflops is None else None
    declared = tflops or peak
    available = torch.cuda.is_available()
    device = device or ("cuda" if available or gpus else "cpu")
    if device not in DEVICES:
        raise BadValue("--device", device, ", ".join((*DEVICES, *GPUS)))
    if device == "cuda" and not available and declared is None:
        advice = "--tflops takes a throughput of the GPU that you mean"
        raise BadValue("--device", "cuda", "a GPU of this machine", advice)
    if device == "cpu" and gpus:
        raise BadValue("--gpus", gpus, "no GPUs with --device cpu", "--cores says how many cores")
    on = "cuda" if device == "cuda" and available else "cpu"
    places = cores or len(os.sched_getaffinity(0)) if device == "cpu" else gpus
    places = places or (torch.cuda.device_count() if on == "cuda" and known is None else 1)
    origin = "as --watts says"
    if watts is None and known is not None:
        watts, origin = known.watts, f"the limit that NVIDIA prints of the {known.label}"
    elif watts is None:
        watts = CORE_WATTS if device == "cpu" else (power_limit() if on == "cuda" else None)
        origin = "a declared default" if device == "cpu" else "the limit that nvidia-smi says"
    begins = start_up_seconds(graph) if declared is None else 0.0
    if declared is None:
        runtime = f"{graph.scale.precision}, {graph.scale.threads} thread(s) per run"
        about = f"Timed on {device_name(torch.device(on))}, {runtime}, torch {torch.__version__}."
        started = f"{begins:.1f} s of start-up per job included" if begins else "without start-up"
        sentences = [about, f"Device hours: {started}."]
    else:
        format_ = graph.scale.precision
        origin_of_rate = f"that --tflops declares for steps in {format_}, the plan's format"
        bound = "Published peaks are seldom reached."
        if known is not None and peak is not None:
            origin_of_rate, bound = (
                f"that NVIDIA prints as {known.label}'s peak in {format_}",
                BOUND,
            )
        sentences = [
            f"NOTHING WAS TIMED: hours are multiply-adds at the {declared:g} TFLOP/s "
            f"{origin_of_rate}, two operations per multiply-add. {bound}"
        ]
    return on, Machine(device, places, watts, origin, begins), declared, sentences
