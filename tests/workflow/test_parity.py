"""dvc.yaml is written by hand, the plan by code: this keeps the two from drifting apart.

The plan is contracted to stages (phase, data set) and compared with what DVC itself makes of
dvc.yaml: its stages, its graph, and which parameters and declarations it watches.
"""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from copy import deepcopy
from dataclasses import dataclass, fields
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
import yaml
from sampling import sampled

from kdbench.plan import build
from kdbench.plan.graph import Graph, make_graph
from kdbench.plan.params import Params
from kdbench.plan.pathways import PATHWAYS
from kdbench.plan.scales import SCALES, Scale
from kdbench.store.paths import Paths
from kdbench.workflow.report import report_digest

REPOSITORY = Path(__file__).parents[2]
SHIPPED = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
REPORT = "report"
REPORT_STAGE = (REPORT, "all")
ASK_DVC = """
import json
import math
from dvc.repo import Repo

repo = Repo.init(no_scm=True)
index = repo.index
stages = {
    stage.addressing: {
        "outs": [out.def_path for out in stage.outs],
        "params": [key for dep in stage.deps for key in getattr(dep, "params", [])],
        "deps": [dep.def_path for dep in stage.deps if not hasattr(dep, "params")],
        "command": stage.cmd,
    }
    for stage in index.stages
}
edges = [[stage.addressing, needed.addressing] for stage, needed in index.graph.edges]
print(json.dumps({"stages": stages, "edges": edges}))
"""


@dataclass(frozen=True)
class Pipeline:
    """What DVC makes of dvc.yaml at one scale; stages are named (phase, data set)."""

    stages: dict
    needs: dict

    def after(self, names):
        """The stages and all that is downstream of them."""
        reached = set(names)
        while more := {s for s, needed in self.needs.items() if needed & reached} - reached:
            reached |= more
        return reached

    def watching(self, key):
        """The stages that run when a (dotted) key of params.yaml changes."""
        parts = key.split(".")
        spelt = {".".join(parts[:n]) for n in range(1, len(parts) + 1)}
        return {n for n, stage in self.stages.items() if spelt & set(stage["params"])}

    def reading(self, file):
        """The stages that run when a file of the package changes."""
        above = {str(parent) for parent in [Path(file), *Path(file).parents]}
        return {n for n, stage in self.stages.items() if above & set(stage["deps"])}

    def blind(self, moves, roused):
        """Those of the moving stages that DVC leaves alone when these are roused.

        A roused stage rouses those after it only if its records move: DVC compares contents. So
        being downstream of a stage that looks is not enough.
        """
        noticed = moves & roused
        while more := {s for s in moves if self.needs[s] & noticed} - noticed:
            noticed |= more
        return moves - noticed


def key_of(name, stage, scale):
    """(phase, data set) of a stage, from its name; and its command builds that phase."""
    phase, _, item = name.partition("@")
    assert stage["command"] == f"kdbench build {phase}"
    return phase, item.removeprefix(f"{scale}-") if item != scale else "all"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """Asks DVC about dvc.yaml as it stands, at a scale."""

    @cache
    def ask(scale):
        folder = tmp_path_factory.mktemp("parity")
        shutil.copy(REPOSITORY / "dvc.yaml", folder)
        (folder / "params.yaml").write_text(yaml.safe_dump({**SHIPPED, "scale": scale}))
        done = subprocess.run(
            [sys.executable, "-c", ASK_DVC],
            cwd=folder,
            env={**os.environ, "DVC_NO_ANALYTICS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout.splitlines()[-1])
        names = {name: key_of(name, stage, scale) for name, stage in answer["stages"].items()}
        needs = {key: set() for key in names.values()}
        for stage, needed in answer["edges"]:
            needs[names[stage]].add(names[needed])
        return Pipeline({names[n]: stage for n, stage in answer["stages"].items()}, needs)

    return ask


def planned(scale, **changes):
    """The plan of the shipped params.yaml with some keys changed."""
    return make_graph(Params.model_validate({**SHIPPED, "scale": scale, **changes}))


def contracted(graph):
    """Digests by stage: what each DVC stage has to build."""
    stages = {}
    for spec in graph.runs.values():
        stages.setdefault((spec.phase, spec.dataset), set()).add(spec.digest)
    return {**stages, REPORT_STAGE: {report_digest(graph)}}


def moved(before, after):
    """Stages whose runs are not what they were."""
    return {stage for stage in before | after if before.get(stage) != after.get(stage)}


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
    # Exhibits on CIFAR-10 set parameters of their own, which nothing overrides.
    runs = sorted(runs, key=lambda run: run.dataset != "cifar10")
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
        "threads": "teacher",
        "cells_per_job": None,
        "precision": "teacher",
    }
    if setting in ("name", "notice"):
        return None, None
    value = getattr(SCALES[scale], setting)
    others = {"precision": {"float32": "bf16", "bf16": "float32"}, "teacher_epoch": {value: "last"}}
    if setting in others:
        return others[setting][value], moves[setting]
    return (9 if value is None else another(value)), moves[setting]


@pytest.mark.parametrize("scale", SCALES)
def test_dvc_stages_are_those_of_the_plan(pipeline, scale):
    """There is a DVC stage for all that is planned, with its outputs where the plan puts them.

    It is one per phase and data set, also where no run is planned: such a stage does nothing.
    """
    declared, expected = pipeline(scale), contracted(planned(scale))
    phases = {phase for phase, _ in expected}

    assert expected.keys() <= declared.stages.keys()
    assert {phase for phase, _ in declared.stages} == phases
    for (phase, dataset), stage in declared.stages.items():
        if phase == REPORT:
            assert stage["outs"] == [str(Paths().report(scale))]
            continue
        assert stage["outs"] == [str(Paths().folders(scale, phase, dataset)[0])]


@pytest.mark.parametrize("scale", SCALES)
def test_dvc_dependencies_are_those_of_the_plan(pipeline, scale):
    """What a run reads comes from its own DVC stage or one upstream, never from one downstream."""
    declared, graph = pipeline(scale), planned(scale)
    relations = {
        ((upstream.phase, upstream.dataset), (spec.phase, spec.dataset))
        for spec in graph.runs.values()
        for upstream in spec.upstream.values()
    }
    relations |= {((spec.phase, spec.dataset), REPORT_STAGE) for spec in graph.targets()}

    assert len(relations) > 8
    for upstream, stage in relations:
        if upstream == stage:  # a search that starts from another of the same data set
            continue
        assert upstream in declared.needs[stage], f"{stage} does not depend on {upstream}"
        assert upstream not in declared.after([stage]), f"{upstream} also depends on {stage}"


@cache
def stages_of(scale, exhibit):
    """The contracted plan as it is: of one exhibit, or of all for ""."""
    return contracted(planned(scale, **({"exhibits": [exhibit]} if exhibit else {})))


@pytest.mark.parametrize(
    ("scale", "whole"),
    [("lite", False), *(pytest.param(scale, True, marks=pytest.mark.slow) for scale in SCALES)],
)
def test_every_dvc_stage_watches_the_parameters_of_its_runs(pipeline, scale, whole, tmp_path):
    """With any leaf of params.yaml changed, each DVC stage with a new run notices by itself.

    The report must look at every such key itself: when a change is taken back, the records that
    it asks for are all there and no folder that it depends on moves, but the report is another.
    A component's parameters are changed in the whole plan or in one exhibit that uses it, which
    is planned in a tenth of the time.
    """
    plugin, data = own(tmp_path, "method", "own"), own(tmp_path, "dataset", "own_data")
    declared, seen = pipeline(scale), set()
    components = of_components(planned(scale))
    others = ((*each, "") for each in perturbations(scale, plugin, data))
    for key, changes, must, exhibit in chain(components, others):
        only = {"exhibits": [exhibit]} if exhibit and not whole else {}
        before = stages_of(scale, exhibit if only else "")
        moves = moved(before, contracted(planned(scale, **only, **changes)))
        if only and must not in moves:  # this exhibit sets the parameter itself
            moves = moved(stages_of(scale, ""), contracted(planned(scale, **changes)))
        roused = {stage for leaf in leaves(key, changes) for stage in declared.watching(leaf)}
        blind = declared.blind(moves, roused)
        assert not blind, f"{changes}: {sorted(blind)} change, but do not watch {key!r}"
        watching = REPORT_STAGE not in moves or REPORT_STAGE in roused
        assert watching, f"{changes}: another report, but its stage does not watch {key!r}"
        assert must is None or must in moves, f"{changes}: expected {must} among {sorted(moves)}"
        seen.add(key.partition(".")[0])

    assert seen | {"scale"} == SHIPPED.keys()  # the scale is part of every stage's name


def with_revision(graph, kind, name):
    """The same plan after a raised revision of one declaration."""
    components = deepcopy(graph.components)
    path, declaration = components.declarations[kind][name]
    raised = declaration.model_copy(update={"revision": declaration.revision + 1})
    components.add(path, raised)
    return Graph(graph.params, components, graph.exhibits)


@pytest.mark.parametrize("scale", sampled(["smoke", "paper"], ["smoke"]))
def test_dvc_notices_a_raised_revision(pipeline, scale):
    """The DVC stages with new runs depend on the folder of the declaration that was changed."""
    dvc, graph = pipeline(scale), planned(scale)
    before, moves = contracted(graph), {}
    for kind, declared in graph.components.declarations.items():
        for name, (path, _) in declared.items():
            after = contracted(with_revision(graph, kind, name))
            moves[kind, name] = moved(before, after)
            roused = dvc.reading(path.relative_to(REPOSITORY))
            blind = dvc.blind(moves[kind, name], roused)
            assert not blind, f"{sorted(blind)} change with {path.name}, but do not depend on it"

    def of(phases, *datasets):
        return {(phase, name) for phase in phases for name in datasets} | {REPORT_STAGE}

    every = ("data", "teacher", "search", "student", "evaluation")
    own = of(every, "cifar100")
    transferred = of(every[3:], "cinic10")  # DFA-T: searched on CIFAR-100
    searched_on = ("tinyimagenet-224", "cifar100-224")  # for students on ImageNet
    on_imagenet = of(("search",), *searched_on) | of(every[3:], "imagenet")
    teachers = of(("teacher",), "imagenet", *searched_on)
    assert moves["dataset", "cifar100"] == own | transferred
    assert moves["network", "resnet"] == own - {("data", "cifar100")} | on_imagenet | teachers
    assert moves["search", "distpro"] == of(every[2:], "cifar100") | on_imagenet
    assert moves["search", "dfa"] == of(every[2:], "cifar100", "cinic10")
    assert moves["method", "kd"] == of(every[3:], "cifar10", "cifar100", "cinic10")


def test_dvc_notices_a_raised_engine_revision(pipeline, monkeypatch):
    """It makes every run a new one, and every DVC stage depends on the file that holds it."""
    before = contracted(planned("smoke"))
    monkeypatch.setattr(build, "ENGINE_REVISION", build.ENGINE_REVISION + 1)
    moves = moved(before, contracted(planned("smoke")))

    assert moves == before.keys()
    assert moves <= pipeline("smoke").reading("kdbench/store/spec.py")
