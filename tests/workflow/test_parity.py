"""dvc.yaml is written by hand, the plan by code: this keeps the two from drifting apart.

The plan is contracted to stages (phase, data set) and compared with what DVC itself makes of
dvc.yaml: its stages, its graph, and which parameters and declarations it watches.
"""

import json
import os
import shutil
import subprocess
import sys
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
import yaml
from param_changes import (
    REPORT,
    REPORT_STAGE,
    REPOSITORY,
    SHIPPED,
    leaves,
    of_components,
    own,
    perturbations,
)
from sampling import sampled

from kdbench.plan import build
from kdbench.plan.graph import Graph, make_graph
from kdbench.plan.params import Params
from kdbench.plan.scales import SCALES
from kdbench.store.paths import Paths
from kdbench.workflow.report import report_digest

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


@pytest.mark.parametrize("scale", sampled(["smoke", "paper"], []))
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
    small = on_imagenet | teachers if scale == "smoke" else set()  # stand in for ImageNet's
    dense = ("cityscapes", "nyuv2", *(["camvid"] if scale == "smoke" else []))
    assert moves["network", "resnet"] == own - {("data", "cifar100")} | small
    assert moves["search", "distpro"] == of(every[2:], "cifar100", *dense) | on_imagenet
    assert moves["search", "dfa"] == of(every[2:], "cifar100", "cinic10")
    assert moves["method", "kd"] == of(every[3:], "cifar10", "cifar100", "cinic10")


def test_dvc_notices_a_raised_engine_revision(pipeline, monkeypatch):
    """It makes every run a new one, and every DVC stage depends on the file that holds it."""
    before = contracted(planned("smoke"))
    monkeypatch.setattr(build, "ENGINE_REVISION", build.ENGINE_REVISION + 1)
    moves = moved(before, contracted(planned("smoke")))

    assert moves == before.keys()
    assert moves <= pipeline("smoke").reading("kdbench/store/spec.py")
