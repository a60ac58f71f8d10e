"""Tables as LaTeX."""

from made_up import Project

from kdbench.report.latex import latex
from kdbench.report.readings.lines import frame, read_lines
from kdbench.report.readings.records import Records


def rows_of(text):
    """The lines between the rules, split into cells."""
    body = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0]
    return [line.rstrip("\\ ").split(" & ") for line in body.strip().splitlines()]


def two_columns(tmp_path, **renamed):
    """A table with two measured columns, 70 and 80 points, whose frame's columns are replaced."""
    plan = Project(tmp_path, scale="lite", exhibits=["distpro/table1"], seeds=1)
    plan.evaluate("student", [70.0], pair=0)
    plan.evaluate("student", [80.0], pair=1)
    cells = frame(read_lines(plan.graph, plan.table, Records(plan.paths)))
    two = cells[(cells["row"] == "student") & (cells["column_number"] <= 2)]
    return two.assign(**renamed)


def test_columns_of_equal_headings_keep_their_own_numbers(tmp_path):
    """Both numbers are there, and the headings say by number which is which."""
    text = latex(two_columns(tmp_path, column="A → B"), "Two", "")

    (row,) = rows_of(text)
    assert [cell.partition(" ")[0] for cell in row] == ["student", "70.00", "80.00"]
    assert r"A $\to$ B (1) & A $\to$ B (2)" in text


def test_columns_of_equal_headings_are_told_apart_by_their_data_sets(tmp_path):
    """Where those differ, they stand in brackets."""
    text = latex(two_columns(tmp_path, column="A", dataset=["cifar_10", "tiny"]), "Two", "")

    assert r"A (cifar\_10) & A (tiny) \\" in text


def test_headings_that_differ_stay_as_they_are(tmp_path):
    """Nothing is added to them."""
    text = latex(two_columns(tmp_path, column=["A", "B"]), "Two", "")

    assert r" & A & B \\" in text


def test_rows_of_equal_labels_stay_two_rows(tmp_path):
    """The second does not take the first one's place."""
    cells = two_columns(tmp_path).assign(row_number=[1, 2], column_number=1)

    assert [row[1].partition(" ")[0] for row in rows_of(latex(cells, "Two", ""))] == [
        "70.00",
        "80.00",
    ]
