"""Every change of params.yaml that could make other runs, and the DVC stage that must notice."""

import math
import re
from dataclasses import fields
from pathlib import Path

import yaml

from kdbench.plan.pathways import PATHWAYS
from kdbench.plan.scales import SCALES, Scale

REPOSITORY = Path(__file__).parents[2]
SHIPPED = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
REPORT = "report"
REPORT_STAGE = (REPORT, "all")


def another(value):
    """A value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1 if isinstance(value, int) else value / 2 or 0.5
    if value == []:
        return ["other"]
    return [*value[1:], value[0]][:-1] or value if isinstance(value, list) else f"{value}x"


# Parameters that every row and figure sets for itself.
EXHIBITS_OWN = {("sbs_kl0", "kl0_share")}


def allowed(value, key, declaration):
    """Another value that the declaration's constraints let pass; None for none."""
    choices = declaration.get("choices", {}).get(key)
    pattern = declaration.get("patterns", {}).get(key)
    low, high = declaration.get("ranges", {}).get(key, (-math.inf, math.inf))
    if pattern is not None:  # of each class of characters the first
        first = re.sub(r"\[(.)[^]]*\]", r"\1", pattern)
        others = [[first] if isinstance(value, list) else first]
    elif choices is not None:
        others = [[c] if isinstance(value, list) else c for c in choices]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        others = [v for v in (another(value), value - 1, low, high) if low <= v <= high]
    else:
        others = [another(value)]
    return next((other for other in others if other != value), None)


def overridden(graph, kind):
    """(component, parameter, other value, stage) for every parameter of what the plan uses."""
    runs = [run for run in graph.runs.values() if hasattr(run, kind)]
    # Exhibits on other data sets set parameters of their own, which nothing overrides.
    runs = sorted(runs, key=lambda run: (run.dataset == "cifar100", run.dataset != "cifar10"))
    used = {getattr(run, kind).name: (run.phase, run.dataset) for run in runs}
    for name, stage in sorted((k, v) for k, v in used.items() if "+" not in k):
        component = graph.components.get(kind, name, where="test")
        declaration = component.described
        own = declaration.get(graph.scale.name, {})
        for key, value in {**declaration["defaults"], **own}.items():
            other = allowed(value, key, declaration)
            if other is not None and (name, key) not in EXHIBITS_OWN:
                yield name, key, other, stage
        if component.takes_teacher_bn:
            yield name, "teacher_bn", "eval" if component.teacher_bn == "batch" else "batch", stage


def smallest(graph, kind, name, stage):
    """The exhibit of fewest runs in which a component makes runs of a stage."""
    sizes = {}
    for exhibit in graph.exhibits:
        runs = {r.digest: r for top in graph.behind(exhibit) for r in top.with_upstream()}
        parts = {
            (r.phase, r.dataset, getattr(r, kind).name) for r in runs.values() if hasattr(r, kind)
        }
        if (*stage, name) in parts:
            sizes[exhibit.id] = len(runs)
    return min(sizes, key=sizes.get)


def of_components(graph):
    """(key, changes, stage that must move, an exhibit of it) for every parameter in use."""
    for kind, top in (("method", "methods"), ("search", "searches")):
        exhibits = {}
        for name, key, value, stage in overridden(graph, kind):
            if name not in exhibits:
                exhibits[name] = smallest(graph, kind, name, stage)
            yield (
                f"{top}.{name}.{key}",
                changes(graph, top, name, key, value),
                stage,
                exhibits[name],
            )


def changes(graph, top, name, key, value):
    """Changes of params.yaml that give a component another parameter.

    A search and the methods that take its process must agree about the pathways: both change.
    """
    described = graph.components.get(
        {"methods": "method", "searches": "search"}[top], name, where="test"
    ).described
    search = name if top == "searches" else described.get("search")
    if key not in PATHWAYS or not search:
        return {top: {name: {key: value}}}
    takers = {
        method: {key: value}
        for method in graph.components.names("method")
        if graph.components.get("method", method, where="test").described.get("search") == search
    }
    return {"searches": {search: {key: value}}, "methods": takers}


def leaves(key, changes):
    """The (dotted) keys of params.yaml that changes of a component's parameters set."""
    if key.partition(".")[0] not in ("methods", "searches"):
        return [key]
    return [
        f"{top}.{name}.{parameter}"
        for top, components in changes.items()
        for name, parameters in components.items()
        for parameter in parameters
    ]


def perturbations(scale, plugin, data):
    """(key, changes of params.yaml, stage that must move) for every other leaf of params.yaml."""
    student = ("student", "cifar100")
    for setting in (field.name for field in fields(Scale)):
        value, stage = setting_of(scale, setting)
        if value is not None:
            change = {"scales": {scale: {setting: value}}}
            if setting in ("ranks", "images_at_once"):  # refused for L2T-ww
                change["methods_only"] = ["none", "kd"]
            yield f"scales.{scale}.{setting}", change, stage and (stage, "cifar100")
    yield "exhibits", {"exhibits": ["distpro/table1"]}, REPORT_STAGE
    yield "exhibits", {"exhibits": ["distpro/figure6"]}, REPORT_STAGE
    yield "exhibits", {"exhibits": ["distpro"]}, None
    yield "pairs", {"pairs": ["resnet110:resnet32"]}, REPORT_STAGE
    yield "methods_only", {"methods_only": ["none"]}, REPORT_STAGE
    yield "methods_only", {"methods_only": ["kd", "equal"]}, REPORT_STAGE
    yield "seeds", {"seeds": 4}, None if scale == "paper" else student
    yield "seeds", {"seeds": 7}, student
    imported = {"teachers": {"cifar100/wrn-40-2": "0" * 64}}
    yield "teachers", imported, None if scale == "smoke" else ("teacher", "cifar100")
    yield "encoders", {"encoders": {"pspnet-resnet18": "0" * 64}}, None  # of no shipped data set
    several = {"ranks": {"cifar100/wrn-16-2": {"student": 2}}}  # stand-ins have the scale's number
    yield "ranks", several, None if scale == "smoke" else student
    yield "datasets", {"datasets": [*SHIPPED["datasets"], "own_data"], "plugins": [data]}, None
    yield "plugins", {"plugins": [plugin]}, student
    own = {"id": "own", "pairs": ["wrn-40-2:resnet8"], "methods": ["dfa+kd"]}
    yield "tables", {"tables": [own]}, student


def own(folder, kind, name):
    """A plug-in folder with one component; a data set that no exhibit uses makes no new run."""
    place = folder / kind
    place.mkdir()
    (place / f"{name}.py").write_text("class Own:\n    pass\n")
    declaration = f'kind = "{kind}"\nclass = "Own"\nlabel = "Own"\nrevision = 1\n[defaults]\n'
    (place / f"{name}.toml").write_text(declaration)
    return str(place)


def setting_of(scale, setting):
    """Another value for a scale's setting, and the phase that must move."""
    moves = {
        "stand_in": "data",
        "train_share": None if scale == "smoke" else "data",
        "teacher_epochs": "teacher",
        "search_epochs": "search",
        "student_epochs": "student",
        "steps_per_epoch": "teacher",
        "batch": "teacher",
        "lr_factor": "teacher",
        "seeds": "student",
        "lead_seeds": "student",
        "evaluate_every": "teacher",
        "teacher_epoch": "search",
        "channels_last": "teacher",
        "fold_teacher": "student",
        "images_at_once": "teacher",
        "decode": None,  # no run of the data sets asked here
        "ranks": "teacher",
        "synchronise_norms": None,  # of one rank
        "threads": "student",  # teachers may have their own number
        "teacher_threads": "teacher",
        "cells_per_job": None,
        "precision": "teacher",
    }
    if setting in ("name", "notice"):
        return None, None
    value = getattr(SCALES[scale], setting)
    others = {"precision": {"float32": "bf16", "bf16": "float32"}, "teacher_epoch": {value: "last"}}
    others["decode"] = {"cpu": "gpu"}
    if setting in others:
        return others[setting][value], moves[setting]
    if setting == "batch" and value is not None:
        return 2 * value, moves[setting]  # an exhibit's two ranks share it
    return (9 if value is None else another(value)), moves[setting]
