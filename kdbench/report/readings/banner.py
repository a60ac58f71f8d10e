"""The notice above every exhibit: whether its numbers may be compared with the published ones."""

from dataclasses import fields

from kdbench.plan.graph import Graph
from kdbench.plan.scales import SCALES, Scale
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import SearchRun, StudentRun
from kdbench.store.teacher_runs import DataRun, ImportedTeacher

# Settings that leave the protocol as published: how exactly and how often it is run.
HARMLESS = frozenset(
    {"name", "notice", "precision", "channels_last", "threads", "cells_per_job", "fold_teacher"}
) | frozenset({"decode", "seeds", "lead_seeds"})


def banner(graph: Graph) -> str:
    """The notice of the scale, and of settings that params.yaml changes; "" where none applies."""
    changes = changed_settings(graph.scale)
    sentences = [notice(graph)] if graph.scale.notice else []
    if changes:
        tail = (
            ""
            if graph.scale.notice or graph.own
            else "; the numbers are NOT comparable with published ones"
        )
        sentences.append(
            f"params.yaml changes scale {graph.scale.name}: {', '.join(changes)}{tail}."
        )
    overrides = changed_parameters(graph)
    if overrides:
        sentences.append(f"params.yaml overrides {', '.join(overrides)}.")
    imported = imported_teachers(graph)
    if imported:
        tail = "" if graph.own else "; what they teach gets no verdict"
        sentences.append(
            f"params.yaml takes teachers trained elsewhere: {', '.join(imported)}{tail}."
        )
    return " ".join(sentences)


def notice(graph: Graph) -> str:
    """The notice of the scale; beside tables of one's own, which no paper printed, in other words.

    A notice that params.yaml gives stays as it is.
    """
    scale = graph.scale
    if not graph.own or scale.notice != SCALES[scale.name].notice:
        return scale.notice
    if scale.stand_in:
        return (
            "Scale smoke: scikit-learn's digits stand in for the data set and a student has a few "
            "steps. This shows that everything works. The numbers say nothing about the methods."
        )
    shared = any(isinstance(r, DataRun) and r.train_share < 1 for r in graph.runs.values())
    share = "a share of the training images and " if shared else ""
    return (
        f"Scale {scale.name}: real images, but {share}other lengths than the protocol's. At most "
        "the order of the methods means something."
    )


def imported_teachers(graph: Graph) -> list[str]:
    """The teachers of the plan that are not trained here, `cifar100/wrn-28-4`."""
    runs = (run for run in graph.runs.values() if isinstance(run, ImportedTeacher))
    return sorted({f"{run.dataset}/{run.network.name}" for run in runs})


def comparable(graph: Graph, evaluation: RunSpec | None = None) -> bool:
    """Whether verdicts apply: the protocol, and all that a cell's runs use, are as published."""
    if graph.scale.notice or changed_settings(graph.scale):
        return False
    runs = evaluation.with_upstream() if evaluation else ()
    return not any(_overridden(graph, spec) for spec in runs)


def _overridden(graph: Graph, spec: RunSpec) -> bool:
    """Whether params.yaml overrides a parameter of what a run uses, or is its teacher's source."""
    if isinstance(spec, ImportedTeacher):
        return True
    if isinstance(spec, SearchRun):
        return bool(graph.params.searches.get(spec.search.name))
    if isinstance(spec, StudentRun):
        return any(graph.params.methods.get(method.name) for method in spec.method.losses)
    return False


def changed_settings(scale: Scale) -> list[str]:
    """Settings that make a scale another protocol than the one of its name, `name = value`."""
    original = SCALES[scale.name]
    names = [field.name for field in fields(Scale) if field.name not in HARMLESS]
    return [
        f"{name} = {getattr(scale, name)}"
        for name in names
        if getattr(scale, name) != getattr(original, name)
    ]


def changed_parameters(graph: Graph) -> list[str]:
    """Overridden parameters of methods and searches, `methods.kd.temperature = 2.0`."""
    kinds = {"methods": graph.params.methods, "searches": graph.params.searches}
    return [
        f"{kind}.{name}.{key} = {value}"
        for kind, components in kinds.items()
        for name, parameters in sorted(components.items())
        for key, value in sorted(parameters.items())
    ]
