"""DistPro's exhibits on ImageNet: what they share, what their runs are, what is refused."""

from dataclasses import replace

import pytest

from kdbench.errors import BadValue
from kdbench.exhibits.protocols import (
    IMAGENET,
    IMAGENET_DEIT,
    IMAGENET_DEIT_SEARCH,
    IMAGENET_SEARCH,
    IMAGENET_STEP,
)
from kdbench.exhibits.requests import Pair
from kdbench.exhibits.tables import Origin
from kdbench.papers import distpro_imagenet as exhibits
from kdbench.papers import published_numbers
from kdbench.plan.build import Builder
from kdbench.plan.components import find_components
from kdbench.plan.graph import make_graph
from kdbench.plan.params import Params
from kdbench.report.readings.cells import published

IDS = [exhibit.id for exhibit in exhibits.EXHIBITS]


@pytest.fixture(scope="module")
def plan():
    """All of them at scale paper."""
    return make_graph(Params(scale="paper", exhibits=IDS))


def cell(plan, table, row, pair):
    """The students of a table's cell."""
    (found,) = (
        one.evaluation
        for one in plan.cells[table]
        if (one.row.label, one.column.pair) == (row, pair)
    )
    return found.first


def test_every_printed_number_of_the_tables_has_its_cell(plan):
    """And cells without a print are not run: LONDON has one network, the transformers four rows."""
    for table in (exhibits.TABLE4, exhibits.TABLE4_TOP5, exhibits.TABLE3A, exhibits.TABLE3B):
        metric = table.metric.key
        known = {
            key
            for key in published_numbers("distpro.csv")
            if key[0] == table.exhibit and key[3] == metric
        }
        shown = [
            (table.exhibit, one.column.setting, one.row.published, metric)
            for one in plan.cells[table.id]
            if one.evaluation
        ]
        assert known and known <= set(shown)
        if metric == "top1":
            assert known == set(shown)
        for one in plan.cells[table.id]:
            number = published(plan, table, one.row, one.column)
            assert (number is None) == (
                (table.exhibit, one.column.setting, one.row.published, metric) not in known
            )


def test_protocols_are_the_printed_ones(plan):
    """Cosine at batch 512; ReviewKD's own step schedule; DeiT's AdamW."""
    at = [(exhibits.STEP, exhibits.MOBILENET), (exhibits.COSINE, exhibits.MOBILENET)]
    at += [(exhibits.DISTPRO, exhibits.DEIT)]
    recipes = [cell(plan, "distpro/table4", *place).recipe for place in at]

    assert recipes == [IMAGENET_STEP, IMAGENET, IMAGENET_DEIT]
    assert (IMAGENET.batch, IMAGENET.lr, IMAGENET.epochs) == (512, 0.1, 100)
    assert [run.recipe for run in (cell(plan, "distpro/table4", *at[2]).schemes[0],)] == [
        IMAGENET_DEIT_SEARCH
    ]


def test_the_search_runs_for_20_epochs_on_tiny_imagenet_over_15_pathways(plan):
    """One transform per pair of maps; that of the transformers is for tokens."""
    for pair, kind in ((exhibits.RESNET, "complex"), (exhibits.DEIT, "tokens")):
        student = cell(plan, "distpro/table4", exhibits.DISTPRO, pair)
        (search,) = student.schemes
        space = {"connections": "downward", "stem": True, "transforms": [kind]}
        assert space.items() <= search.search.parameters.items()
        assert space.items() <= student.method.parameters.items()
        assert (search.dataset, search.recipe.epochs) == ("tinyimagenet-224", 20)
    assert IMAGENET_SEARCH.batch == 512


def test_one_teacher_serves_every_row_of_a_pair(plan):
    """Also those whose students are trained under another protocol."""
    teachers = {
        run.digest
        for run in plan.runs.values()
        if (run.phase, run.dataset) == ("teacher", "imagenet")
    }
    assert len(teachers) == 3


def test_the_exhibits_share_their_runs(plan):
    """Table 3's first row is Table 4's, and Figure 5 ends where Table 4 stands."""
    tiny = cell(plan, "distpro/table3a", "Tiny-ImageNet", exhibits.MOBILENET)
    mobile = cell(plan, "distpro/table4", exhibits.DISTPRO, exhibits.MOBILENET)
    key = exhibits._key(exhibits.DISTPRO, "MobileNet", 100)
    last = plan.drawn["distpro/figure5"][key].first
    assert tiny.digest == mobile.digest == last.digest
    budgets = {
        run.recipe.epochs
        for run in plan.runs.values()
        if (run.phase, run.dataset) == ("student", "imagenet")
    }
    assert budgets == {10, 20, 30, 50, 65, 100, 150}


def test_a_process_moves_between_pairs_and_data_sets(plan):
    """Table 3: its search is on the other pair, or on the other data set."""
    moved = cell(plan, "distpro/table3b", "ResNet50 -> MobileNet", exhibits.RESNET)
    (search,) = moved.schemes
    assert (search.naming.teacher, search.naming.student) == ("resnet50", "mobilenet-v1")
    assert search.digest in {
        one.digest
        for one in cell(plan, "distpro/table4", exhibits.DISTPRO, exhibits.MOBILENET).schemes
    }
    other = cell(plan, "distpro/table3a", "CIFAR-100 (resized to 224)", exhibits.MOBILENET)
    assert other.schemes[0].dataset == "cifar100-224"


@pytest.mark.parametrize("pair", [exhibits.DEIT, Pair("wrn-40-2", "wrn-16-2")], ids=str)
def test_a_process_of_other_pathways_is_refused_when_the_plan_is_made(pair):
    """One line says whose process it is and what differs."""
    table, column = exhibits.TABLE4, exhibits.COLUMNS["ResNet18"]
    row = replace(table.rows[-1], origin=Origin(dataset="tinyimagenet-224", pair=pair))
    builder = Builder(Params(scale="paper"), find_components())
    with pytest.raises(BadValue) as caught:
        builder.evaluation(table.request(row, column))
    line = str(caught.value)
    assert "\n" not in line
    assert "resnet34:resnet18, distpro, " in line and f"in the process of {pair}" in line


def test_small_networks_stand_in_at_scale_smoke():
    """As the data set declares; pathways, names and methods' parameters are the pair's."""
    plan = make_graph(Params(scale="smoke", exhibits=IDS))
    used = {
        network.name
        for run in plan.runs.values()
        if run.phase in ("search", "student")
        for network in (run.student, *(teacher.network for teacher in run.teachers))
    }
    assert used == {"resnet20", "resnet14", "resnet8", "vit-mini-16"}
    student = cell(plan, "distpro/table4", exhibits.STEP, exhibits.MOBILENET)
    assert student.method.parameters["weight"] == 8.0
    assert student.cell == "resnet50_mobilenet-v1_reviewkd_imagenet_s0"
    assert student.data.stand_in.name == "encoded_digits"
    assert student.recipe.augment == "rrc8"


def test_all_leaves_them_out_at_scale_lite():
    """Where they are named they are planned."""
    planned = {exhibit.id for exhibit in make_graph(Params(scale="lite")).exhibits}
    assert not planned & set(IDS)
    assert {e.id for e in make_graph(Params(scale="smoke")).exhibits} >= set(IDS)
    named = make_graph(Params(scale="lite", exhibits=["distpro/table4"]))
    assert [exhibit.id for exhibit in named.exhibits] == ["distpro/table4"]
