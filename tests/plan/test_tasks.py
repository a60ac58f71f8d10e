"""A data set declares its task; what is made for another one is refused before anything runs."""

import pytest
from plan_fixtures import planned

from kdbench.errors import BadValue
from kdbench.exhibits.protocols import CITYSCAPES, NYUV2
from kdbench.plan.components import find_components
from kdbench.plan.graph import make_graph
from kdbench.plan.misfits import without_misfits
from kdbench.plan.params import Params

SCENES = {"datasets": ["camvid"], "exhibits": ["ours/camvid"], "pairs": []}
TABLE = {"id": "mine", "dataset": "camvid"}
PAIR = "pspnet-resnet18:pspnet-mobilenet-v2"


def test_runs_have_the_task_of_their_data_set():
    """In the digest, where it is not classification; so older digests stay."""
    runs = planned(**SCENES).runs.values()
    assert {run.task for run in runs} == {"segmentation"}
    assert {run.as_dict()["params"]["task"] for run in runs} == {"segmentation"}

    others = planned(datasets=["cifar100"], exhibits=["distpro/figure6"]).runs.values()
    assert {run.task for run in others} == {"classification"}
    assert not any("task" in run.as_dict()["params"] for run in others)


REFUSED = {
    "a network for images": (
        {"pairs": ["resnet56:pspnet-mobilenet-v2"], "methods": ["reviewkd"]},
        "camvid, network resnet56: found 'segmentation', expected classification",
    ),
    "a student for images": (
        {"pairs": ["pspnet-resnet18:resnet20"], "methods": ["none"]},
        "camvid, network resnet20: found 'segmentation', expected classification",
    ),
    "a loss of one label per image": (
        {"pairs": [PAIR], "methods": ["kd"]},
        "camvid, method kd: found 'segmentation', expected classification; kd is made for one",
    ),
    "a network for pixels": (
        {"dataset": "cifar100", "pairs": [PAIR], "methods": ["none"]},
        "cifar100, network pspnet-mobilenet-v2: found 'classification', expected segmentation",
    ),
    "a loss of depths": (
        {"pairs": [PAIR], "methods": ["kd_depth"]},
        "camvid, method kd_depth: found 'segmentation', expected depth; kd_depth compares the",
    ),
    "a network of depths": (
        {"pairs": ["sparse-to-dense-resnet50:pspnet-resnet18"], "methods": ["reviewkd"]},
        "camvid, network sparse-to-dense-resnet50: found 'segmentation', expected depth",
    ),
    "a loss of pixels": (
        {"dataset": "cifar100", "pairs": ["resnet56:resnet20"], "methods": ["ifvd"]},
        "cifar100, method ifvd: found 'classification', expected segmentation; ifvd looks at",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_made_for_another_task_is_refused_in_one_line(name):
    """The line says what and why; `kdbench check` prints it."""
    changes, words = REFUSED[name]
    with pytest.raises(BadValue) as error:
        planned(datasets=["camvid", "cifar100"], exhibits=["own"], tables=[{**TABLE, **changes}])
    assert words in str(error.value)


def test_all_that_fits_no_task_is_named_at_once_and_the_rest_is_left():
    """Methods, sums with one, networks; a table without rows goes, others stay as they are."""
    mixed = {
        **TABLE,
        "pairs": [PAIR, "resnet56:pspnet-mobilenet-v2"],
        "methods": ["none", "kd", "kd_depth+reviewkd", "reviewkd"],
        "labels": {"kd": "KD", "none": "alone"},
        "comparisons": [["kd", "none"], ["reviewkd", "none"]],
    }
    none = {**TABLE, "id": "none-left", "pairs": [PAIR], "methods": ["dkd"]}
    params = Params(exhibits=["own/mine", "own/none-left"], tables=[mixed, none])
    left, problems = without_misfits(params, find_components())

    assert [problem.partition(": found")[0] for problem in problems] == [
        "params.yaml, tables, mine: camvid, network resnet56",
        "params.yaml, tables, mine: camvid, method kd",
        "params.yaml, tables, mine: camvid, method kd_depth",
        "params.yaml, tables, none-left: camvid, method dkd",
    ]
    (table,) = left.tables
    assert left.exhibits == ["own/mine"]
    assert (table.pairs, table.methods) == ([PAIR], ["none", "reviewkd"])
    assert (table.labels, table.comparisons) == ({"none": "alone"}, [["reviewkd", "none"]])
    assert make_graph(left).runs


def test_a_plan_whose_tables_all_fit_no_task_has_nothing_left():
    """Nothing can be tried; one where all fit stays as it is."""
    unfit = {**TABLE, "pairs": [PAIR], "methods": ["kd"]}
    assert without_misfits(Params(exhibits=["own"], tables=[unfit]), find_components())[0] is None

    fit = Params(exhibits=["own"], tables=[{**unfit, "methods": ["none"]}])
    assert without_misfits(fit, find_components()) == (fit, [])


def test_parameters_of_a_sum_go_to_the_parts_that_know_them():
    """And into the cell's name."""
    runs = planned(
        datasets=["cityscapes"], exhibits=["distpro/table5"], methods_only=["equal+ifvd+kd_pixel"]
    ).runs.values()
    (student,) = [run for run in runs if run.phase == "student"]
    parts = {part.name: part.parameters for part in student.method.parts}

    assert parts["equal"]["connections"] == "downward"
    assert parts["equal"]["transforms"] == ["complex"]
    assert set(parts["ifvd"]) == {"weight", "task_weight"}
    assert "connections-downward-transforms-complex" in student.cell


def test_stand_ins_with_maps_keep_the_published_batch():
    """Eight images of maps are as much work as many digits."""
    runs = planned(**SCENES).runs.values()

    assert {run.recipe.batch for run in runs if run.phase in ("teacher", "student")} == {8}


def lengths(runs):
    """Epochs of the runs that compute, by phase."""
    epochs = {}
    for run in runs:
        if run.phase in ("teacher", "student", "search"):
            epochs.setdefault(run.phase, set()).add(run.recipe.epochs)
    return epochs


def test_a_data_set_may_say_how_long_lite_is_on_it():
    """Of CamVid's few images a tenth would be too few; other data sets keep the scale's lengths."""
    runs = planned(scale="lite", **SCENES).runs.values()
    (data,) = [run for run in runs if run.phase == "data"]
    assert data.train_share == 1.0
    assert lengths(runs) == {"teacher": {16}, "student": {10}, "search": {3}}

    others = planned(scale="lite", datasets=["cifar10"], exhibits=["sbs/table1"])
    assert lengths(others.runs.values())["teacher"] == {20}


def test_a_data_set_s_teacher_may_have_threads_of_its_own():
    """All rows wait for it; its pages and jobs ask for as many cores. Bits depend on them."""
    teachers = {"scale": "lite", "datasets": ["cifar100"], "exhibits": ["distpro/table1"]}
    runs = planned(**teachers).runs.values()
    alike = planned(**teachers, scales={"lite": {"teacher_threads": 1}}).runs.values()

    def threads(runs):
        return {
            phase: {run.runtime.threads for run in runs if run.phase == phase}
            for phase in ("teacher", "search", "student", "evaluation")
        }

    others = {"search": {1}, "student": {1}, "evaluation": {1}}
    assert threads(runs) == {"teacher": {2}, **others}
    assert threads(alike) == {"teacher": {1}, **others}
    digests = [{run.digest for run in each if run.phase == "teacher"} for each in (runs, alike)]
    assert not digests[0] & digests[1]


def test_depths_are_asked_for_with_the_colours():
    """As many as the protocol's name says; at scale smoke fewer, of fewer pixels."""
    nyu = {"datasets": ["nyuv2"], "exhibits": ["distpro/table6"]}
    for scale, modality in (("paper", "rgbd500"), ("smoke", "rgbd50")):
        runs = planned(scale=scale, **nyu).runs.values()
        recipes = [run.recipe for run in runs if run.phase in ("teacher", "search", "student")]
        assert {recipe.modality for recipe in recipes} == {modality}
        assert all(recipe.as_dict()["modality"] == modality for recipe in recipes)
    assert NYUV2.as_dict()["view"] == "height240-centre228x304"
    for words in ("500 sparse depths", "228 x 304", "height 240", "averaged over images"):
        assert words in NYUV2.name
    assert "modality" not in CITYSCAPES.as_dict()


def test_params_yaml_stands_over_what_a_data_set_says_of_lite():
    """As it stands over everything that is declared."""
    scales = {"lite": {"student_epochs": 2}}
    runs = planned(scale="lite", scales=scales, **SCENES).runs.values()

    assert {run.recipe.epochs for run in runs if run.phase == "student"} == {2}
    assert {run.recipe.epochs for run in runs if run.phase == "teacher"} == {16}
