"""What custom tables refuse, and what they take from a protocol."""

import pytest
from pydantic import ValidationError

from kdbench.errors import BadValue, UserError
from kdbench.exhibits.protocols import DEFAULT_OF, PROTOCOLS, SEARCH_PROTOCOLS
from kdbench.plan.graph import make_graph
from kdbench.plan.params import Params

OWN = {"id": "mine", "pairs": ["resnet56:resnet20"]}


def graph_of(**own):
    """A plan of one table."""
    table = {**OWN, "methods": ["kd"], **own}
    return make_graph(Params(scale="paper", exhibits=["own"], tables=[table], datasets=ALL))


ALL = ["cifar10", "cifar100", "cinic10"]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"methods": ["kd+dfa"], "grid": {"gamma_fd": [0.1]}}, "grid: found 'kd+dfa', expected"),
        ({"methods": ["kd+dfa+kd"]}, "methods: found 'kd+dfa+kd', expected each method once"),
        ({"grid": {"bogus": [1]}}, "'bogus'"),
        ({"grid": {"search.beta_budget": [0.1]}}, "parameters of kd, which searches nothing"),
        ({"methods": ["dfa"], "grid": {"search.bogus": [0.1]}}, "'search.bogus'"),
        ({"methods": ["dfa"], "pruned_by": "sbs_kl"}, "methods that search nothing"),
        ({"pruned_from": "resnet56"}, "pruned_by as well"),
        ({"pruned_by": "dfa"}, "a search that prunes a network"),
        ({"methods": ["dfa"], "searched_on": {"protocol": "reveiw"}}, "did you mean 'review'"),
    ],
)
def test_a_custom_table_with_what_no_run_takes_is_refused(own, message):
    """The error is one line, and comes before anything is planned."""
    with pytest.raises(UserError) as caught:
        graph_of(**own)
    assert message in str(caught.value) and "\n" not in str(caught.value)


SCENES = ["pspnet-resnet101:pspnet-resnet18"]
DEPTHS = ["sparse-to-dense-resnet50:sparse-to-dense-resnet18"]


@pytest.mark.parametrize(
    ("dataset", "pairs", "protocol", "other"),
    [
        ("cifar100", ["resnet56:resnet20"], "review", "sbs"),
        ("cinic10", ["resnet56:resnet20"], "review", "sbs"),
        ("cityscapes", SCENES, "cityscapes", "camvid"),
        ("camvid", SCENES, "camvid", "cityscapes"),
        ("nyuv2", DEPTHS, "nyuv2", "nyuv2"),
        ("nyuv2_labelled", DEPTHS, "nyuv2", "nyuv2"),
        ("imagenet", ["resnet34:resnet18"], "imagenet", "sbs"),
    ],
)
def test_a_table_without_protocol_has_that_of_its_data_set(dataset, pairs, protocol, other):
    """The search's belongs to it; a protocol that is named stays."""
    own = {"dataset": dataset, "pairs": pairs, "methods": ["none", "distpro"]}
    table, named = (graph_of(**own, **more).tables()[0] for more in ({}, {"protocol": other}))

    assert table.recipe.name == PROTOCOLS[protocol].name
    assert table.search_recipe.name == SEARCH_PROTOCOLS[protocol].name
    assert named.recipe.name == PROTOCOLS[other].name


def test_a_scheme_from_another_data_set_is_searched_under_that_one_s_default():
    """Where neither names a protocol."""
    graph = graph_of(methods=["distpro"], searched_on={"dataset": "tinyimagenet-224"})
    (cell,) = graph.cells["own/mine"]

    assert cell.evaluation.runs[0].schemes[0].recipe.name == "imagenet search"
    assert cell.evaluation.runs[0].recipe.name == "review"


def test_a_table_of_masks_without_a_default_protocol_is_refused(monkeypatch):
    """In one line that names those for its task."""
    fewer = {name: value for name, value in DEFAULT_OF.items() if name != "camvid"}
    monkeypatch.setattr("kdbench.plan.custom_tables.DEFAULT_OF", fewer)
    with pytest.raises(
        BadValue,
        match="protocol: found 'none', expected one that suits camvid, for segmentation: citys",
    ):
        graph_of(dataset="camvid", pairs=SCENES, methods=["none"])


@pytest.mark.parametrize(
    ("dataset", "pairs", "protocol", "fitting"),
    [
        ("camvid", SCENES, "review", "for segmentation: cityscapes or camvid"),
        ("nyuv2", DEPTHS, "cityscapes", "for depth: nyuv2"),
        ("cifar100", ["resnet56:resnet20"], "nyuv2", "for classification: review or crd"),
    ],
)
def test_a_protocol_for_another_task_is_refused(dataset, pairs, protocol, fitting):
    """In one line that names those that fit; for a search elsewhere too."""
    line = f"protocol: found '{protocol}', expected one that suits {dataset}, {fitting}"
    with pytest.raises(BadValue, match=line):
        graph_of(dataset=dataset, pairs=pairs, methods=["none"], protocol=protocol)

    elsewhere = {"dataset": dataset, "pair": pairs[0], "protocol": protocol}
    with pytest.raises(BadValue, match=f"searched_on, {line}"):
        graph_of(methods=["distpro"], searched_on=elsewhere)


def test_a_pruned_student_may_take_a_scheme_searched_on_another_pair():
    """The search is that of the pair that searched_on names."""
    graph = graph_of(methods=["dfa"], pruned_by="sbs_kl", searched_on={"pair": "wrn-40-2:wrn-16-2"})
    (cell,) = graph.cells["own/mine"]
    student = cell.evaluation.runs[0]

    assert student.schemes[0].student.name == "wrn-16-2"
    assert student.structure.student.name == "resnet20"


def test_pruned_from_teacher_prunes_each_column_s_own_teacher():
    """Two columns with different teachers have searches in different networks."""
    pairs = ["resnet56:resnet20", "wrn-40-2:wrn-16-2"]
    graph = graph_of(pairs=pairs, pruned_by="sbs_kl", pruned_from="teacher")
    pruned = [cell.evaluation.structure.student.name for cell in graph.cells["own/mine"]]

    assert pruned == ["resnet56", "wrn-40-2"]


@pytest.mark.parametrize(
    ("dataset", "protocol", "own"),
    [
        ("cifar100", "review", False),
        ("cinic10", "review", True),
        ("cinic10", "dfa cinic", False),
        ("cifar100", "dfa cinic", True),
        ("cifar10", "crd", True),
    ],
)
def test_the_channel_constants_of_a_protocol_serve_its_own_data_set_alone(dataset, protocol, own):
    """Another data set under that protocol is normalised with its own constants."""
    graph = graph_of(dataset=dataset, protocol=protocol)
    (cell,) = graph.cells["own/mine"]
    recipe = cell.evaluation.runs[0].recipe

    assert (not recipe.mean) == own and bool(recipe.mean) == bool(recipe.std)


def test_a_search_elsewhere_has_that_data_set_s_constants_and_protocol():
    """The protocol is the one that searched_on names."""
    elsewhere = {"dataset": "cifar100", "protocol": "dfa cifar"}
    graph = graph_of(
        dataset="cinic10", protocol="dfa cinic", methods=["dfa"], searched_on=elsewhere
    )
    (cell,) = graph.cells["own/mine"]
    search = cell.evaluation.runs[0].schemes[0]

    assert search.recipe.augment == "reflect4-flip"
    assert not search.recipe.mean
    teacher = search.teacher.recipe
    assert teacher.augment == "reflect4-flip" and not teacher.mean


def test_methods_only_can_keep_joined_methods_by_their_name():
    """A part that does not exist is named in the error."""
    table = {**OWN, "methods": ["kd", "dfa+kd"]}
    params = Params(scale="paper", exhibits=["own"], tables=[table], methods_only=["dfa+kd"])
    cells = make_graph(params).cells["own/mine"]

    assert [bool(cell.evaluation) for cell in cells] == [False, True]
    with pytest.raises(UserError, match="'kd'"):
        make_graph(Params(exhibits=["own"], tables=[table], methods_only=["dfa+kdd"]))


@pytest.mark.parametrize("held_out", [0.0, 0.25])
def test_the_keys_found_by_and_found_in_plan_the_runs_of_their_successors(held_out):
    """`pruned_by` and `pruned_from` give the same digests."""
    old, new = (
        graph_of(**{f"{verb}_by": "sbs_kl", f"{verb}_{place}": "teacher"}, held_out=held_out)
        for verb, place in (("found", "in"), ("pruned", "from"))
    )

    assert old.runs.keys() == new.runs.keys()
    assert old.tables()[0].tuning_holdout == held_out


def test_an_old_key_beside_its_successor_is_refused():
    """The error names the old key."""
    with pytest.raises(ValidationError, match="found_by"):
        graph_of(found_by="sbs_kl", pruned_by="sbs_np")


def test_pairs_can_keep_a_pair_that_only_a_figure_has():
    """A manual student of SBS, which stands in no table, leaves its runs alone in the plan."""
    params = Params(
        scale="paper", datasets=ALL, exhibits=["sbs"], pairs=["densenet-bc-100-12:vgg-sbs"]
    )
    cells = {s.cell for s in make_graph(params).runs.values() if s.phase == "student"}

    assert cells and all("vgg-sbs" in cell for cell in cells)
