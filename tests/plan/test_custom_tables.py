"""What tables of a user's own refuse, and what they take from a protocol."""

import pytest

from kdbench.errors import UserError
from kdbench.plan.graph import make_graph
from kdbench.plan.params import Params

OWN = {"id": "mine", "pairs": ["resnet56:resnet20"]}


def graph_of(**own):
    """A plan of one table."""
    table = {**OWN, "methods": ["kd"], **own}
    return make_graph(Params(scale="paper", exhibits=["own"], tables=[table], datasets=ALL))


ALL = ["cifar10", "cifar100", "cinic10"]


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"methods": ["kd+dfa"], "grid": {"gamma_fd": [0.1]}}, "grid: found 'kd+dfa', expected"),
        ({"grid": {"bogus": [1]}}, "'bogus'"),
        ({"grid": {"search.beta_lr": [0.1]}}, "parameters of kd, which searches nothing"),
        ({"methods": ["dfa"], "grid": {"search.bogus": [0.1]}}, "'bogus'"),
        ({"methods": ["dfa"], "pruned_by": "sbs_kl"}, "methods that search nothing"),
        ({"pruned_from": "resnet56"}, "pruned_by beside it"),
        ({"pruned_by": "dfa"}, "a search that finds a student"),
        ({"methods": ["dfa"], "searched_on": {"protocol": "reveiw"}}, "did you mean 'review'"),
    ],
)
def test_what_no_run_would_take_is_refused(own, said):
    """In one line, before anything is planned."""
    with pytest.raises(UserError) as caught:
        graph_of(**own)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_found_student_may_take_a_scheme_that_is_said_to_be_from_elsewhere():
    """Then the search is that of the pair that searched_on names."""
    graph = graph_of(methods=["dfa"], pruned_by="sbs_kl", searched_on={"pair": "wrn-40-2:wrn-16-2"})
    (cell,) = graph.cells["own/mine"]
    student = cell.evaluation.upstream["run0"]

    assert student.upstream["search"].params["student"]["name"] == "wrn-16-2"
    assert student.upstream["structure"].params["student"]["name"] == "resnet20"


def test_a_student_may_be_found_in_every_column_s_teacher():
    """Whatever the pair."""
    pairs = ["resnet56:resnet20", "wrn-40-2:wrn-16-2"]
    graph = graph_of(pairs=pairs, pruned_by="sbs_kl", pruned_from="teacher")
    whole = [
        c.evaluation.upstream["structure"].params["student"]["name"]
        for c in graph.cells["own/mine"]
    ]

    assert whole == ["resnet56", "wrn-40-2"]


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
def test_a_data_set_has_its_own_channel_constants(dataset, protocol, own):
    """Those of the protocol only where they are this data set's."""
    graph = graph_of(dataset=dataset, protocol=protocol)
    (cell,) = graph.cells["own/mine"]
    recipe = cell.evaluation.upstream["run0"].params["recipe"]

    assert (not recipe["mean"]) == own and bool(recipe["mean"]) == bool(recipe["std"])


def test_so_has_the_data_set_that_a_scheme_is_searched_on():
    """And its own protocol, if that is named."""
    there = {"dataset": "cifar100", "protocol": "dfa cifar"}
    graph = graph_of(dataset="cinic10", protocol="dfa cinic", methods=["dfa"], searched_on=there)
    (cell,) = graph.cells["own/mine"]
    search = cell.evaluation.upstream["run0"].upstream["search"]

    assert search.params["recipe"]["augment"] == "reflect4-flip"
    assert not search.params["recipe"]["mean"]
    teacher = search.upstream["teacher"].params["recipe"]
    assert teacher["augment"] == "reflect4-flip" and not teacher["mean"]


def test_joined_methods_can_be_kept_by_their_name():
    """And a part that does not exist is named."""
    table = {**OWN, "methods": ["kd", "dfa+kd"]}
    kept = Params(scale="paper", exhibits=["own"], tables=[table], methods_only=["dfa+kd"])
    cells = make_graph(kept).cells["own/mine"]

    assert [bool(cell.evaluation) for cell in cells] == [False, True]
    with pytest.raises(UserError, match="'kd'"):
        make_graph(Params(exhibits=["own"], tables=[table], methods_only=["dfa+kdd"]))


def test_a_pair_that_only_figures_have_can_be_kept():
    """SBS's manual students stand in no table."""
    kept = Params(
        scale="paper", datasets=ALL, exhibits=["sbs"], pairs=["densenet-bc-100-12:vgg-sbs"]
    )
    cells = {s.cell for s in make_graph(kept).runs.values() if s.phase == "student"}

    assert cells and all("vgg-sbs" in cell for cell in cells)
