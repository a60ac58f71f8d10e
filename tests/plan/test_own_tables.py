"""What the rows, data sets and seeds of a table of one's own are."""

import pytest
from test_custom_tables import graph_of

from kdbench.errors import UserError
from kdbench.exhibits.tables import Column
from kdbench.plan.graph import is_own, make_graph
from kdbench.plan.params import Params

TABLE = {"id": "mine", "pairs": ["resnet56:resnet20"], "methods": ["kd"]}
PLUGIN = 'kind = "method"\nclass = "Mine"\nlabel = "Mine"\nrevision = 1\n[defaults]\n'


def rows_of(graph):
    """Labels of the rows."""
    return [row.label for row in graph.tables()[0].rows]


def test_the_row_teacher_measures_each_pair_s_teacher():
    """Its cells are the evaluations of the teachers that the other rows' students learn from."""
    pairs = ["resnet56:resnet20", "wrn-40-2:wrn-16-2"]
    graph = graph_of(methods=["teacher", "kd"], pairs=pairs)
    teachers = [cell.evaluation for cell in graph.cells["own/mine"] if cell.row.role == "teacher"]
    students = [cell.evaluation for cell in graph.cells["own/mine"] if cell.row.role == "student"]

    assert rows_of(graph) == ["Teacher", "KD"]
    assert [run.first.network.name for run in teachers] == ["resnet56", "wrn-40-2"]
    assert [t.first for t in teachers] == [s.first.teacher for s in students]


def test_a_grid_gives_the_row_teacher_once():
    """The teacher's row has no parameter that a grid could vary."""
    graph = graph_of(methods=["teacher", "kd"], grid={"temperature": [1.0, 4.0]})

    assert rows_of(graph) == ["Teacher", "KD, temperature = 1.0", "KD, temperature = 4.0"]


def test_a_method_without_a_grid_s_parameters_has_one_row():
    """Another with some of them has a row for each of their combinations."""
    grid = {"search.beta_budget": [1.0, 2.0], "weight": [0.5, 0.9]}
    graph = graph_of(methods=["none", "kd", "dfa"], grid=grid)

    assert rows_of(graph)[:3] == ["Student", "KD, weight = 0.5", "KD, weight = 0.9"]
    assert len(rows_of(graph)) == 5 and "beta_budget" in rows_of(graph)[3]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"wieght": [1.0]}, "mine, grid: no parameter is called 'wieght'; did you mean 'weight'"),
        ({"weight": [0.5, 0.5]}, "mine, grid.weight: found 0.5, expected each value once"),
        ({"weight": ["x"]}, "mine, grid.weight: found 'x', expected a value like"),
    ],
)
def test_a_grid_names_its_place(grid, message):
    """The table and the key."""
    with pytest.raises(UserError) as caught:
        graph_of(methods=["none", "kd"], grid=grid)
    assert message in str(caught.value)


def test_labels_name_rows_and_columns():
    """Those of methods and pairs without one are the declared ones."""
    graph = graph_of(methods=["none", "kd"], labels={"kd": "Ours", "resnet56:resnet20": "Small"})

    assert rows_of(graph)[1] == "Ours" and rows_of(graph)[0] != "Ours"
    column: Column = graph.tables()[0].all_columns[0]
    assert column.label == "Small"


def test_comparisons_name_methods_and_hold_their_rows_against_each_other():
    """The table's comparisons are of the rows' labels."""
    graph = graph_of(methods=["none", "kd", "dfa+kd"], comparisons=[["dfa+kd", "kd"]])

    assert graph.tables()[0].comparisons == (("DFA + KD", "KD"),)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"labels": {"kdd": "x"}}, "labels: no row or column is called 'kdd'; did you mean 'kd'"),
        ({"comparisons": [["kd", "none"]]}, "comparisons: no row is called 'none'"),
        ({"comparisons": [["kd", "kd"]]}, "comparisons: found ['kd', 'kd'], expected two rows"),
        (
            {"comparisons": [["kd", "kd"]], "grid": {"temperature": [1.0]}},
            "comparisons: found [['kd', 'kd']], expected none beside a grid",
        ),
        ({"methods": ["teacher", "kd"], "held_out": 0.1}, "methods: found 'teacher', expected"),
    ],
)
def test_what_a_table_cannot_have_is_refused(own, message):
    """The error is one line that names the key."""
    with pytest.raises(UserError) as caught:
        graph_of(**own)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("scale", ["smoke", "lite", "paper"])
def test_seeds_of_a_table_stand_over_the_scale(scale):
    """Three are three at every scale; without a number it is one."""
    for seeds in (3, None):
        table = {**TABLE, **({"seeds": seeds} if seeds else {})}
        graph = make_graph(Params(scale=scale, exhibits=["own"], tables=[table]))
        (cell,) = graph.cells["own/mine"]
        assert len(cell.evaluation.runs) == (seeds or 1)


def test_a_table_s_own_data_set_counts_as_asked_for():
    """It is planned though `datasets` does not name it, and no other exhibit of it is."""
    table = {**TABLE, "dataset": "cifar10"}
    graph = make_graph(Params(exhibits=["all"], datasets=["cifar100"], tables=[table]))

    (cell,) = graph.cells["own/mine"]
    assert cell.evaluation.dataset == "cifar10"
    others = [e for e in graph.exhibits if not is_own(e)]
    assert {run.dataset for e in others for run in graph.behind(e)} == {"cifar100"}


@pytest.mark.parametrize("methods", [["kd"], ["kd", "mine", "mine+at"]])
def test_a_table_has_exactly_its_rows(methods, tmp_path):
    """A plug-in method is a row where it is named, and once; tables of papers gain a row."""
    (tmp_path / "mine.toml").write_text(PLUGIN)
    (tmp_path / "mine.py").write_text("class Mine: ...\n")
    table = {**TABLE, "methods": methods}
    params = {"datasets": ["cifar100"], "plugins": [str(tmp_path)], "tables": [table]}
    graph = make_graph(Params(exhibits=["own", "distpro/table1"], **params))
    rows = {t.id: [row.method for row in t.rows] for t in graph.tables()}

    assert rows["own/mine"] == methods
    assert rows["distpro/table1"].count("mine") == 1


def test_a_plan_parts_into_reports_without_planning_anew():
    """Own tables are one part, all else the other; together they have the plan's very runs."""
    params = Params(exhibits=["own", "distpro/table1"], datasets=["cifar100"], tables=[TABLE])
    graph = make_graph(params)
    study, own = graph.parts()

    assert [e.id for e in own.exhibits] == ["own/mine"] and own.own and not study.own
    assert {**study.runs, **own.runs}.keys() == graph.runs.keys()
    assert all(graph.runs[digest] is run for digest, run in own.runs.items())
    assert make_graph(Params(exhibits=["own"], tables=[TABLE])).parts()[0].own
