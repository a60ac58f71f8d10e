"""Printed numbers, as their CSV files hold them."""

import pytest

from kdbench.errors import BadValue
from kdbench.exhibits.published import Published, read_published

HEAD = "exhibit,setting,method,metric,value,spread,source,comparable,runs"
FIRST = "table1,pair,KD,top1,74.92,0.28,paper,,5"


def read(tmp_path, *rows, head=HEAD):
    """The numbers of a file with these rows."""
    file = tmp_path / "study.csv"
    file.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return read_published(file)


def test_an_empty_source_is_that_of_the_row_above(tmp_path):
    """Until a row names another; spread, runs and comparability may be empty."""
    rows = (FIRST, "table1,pair,AT,top1,74,,,no,", "table1,pair,SP,top1,73,,benchmark,,")
    numbers = read(tmp_path, *rows)

    assert numbers["table1", "pair", "KD", "top1"] == Published(74.92, 0.28, "paper", True, 5)
    assert numbers["table1", "pair", "AT", "top1"] == Published(74.0, None, "paper", False, 0)
    assert numbers["table1", "pair", "SP", "top1"].source == "benchmark"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["table1,pair,KD,top1,74.92,,,,"], "line 2, source: found '', expected where the number"),
        ([FIRST, FIRST], "line 3: found 'table1, pair, KD, top1', expected each number once"),
        (["table1,pair,KD,top1,,,paper,,"], "line 2, value: found '', expected a number"),
        (["table1,pair,KD,top1,nan,,paper,,"], "line 2, value: found 'nan', expected a number"),
        (["table1,pair,KD,top1,74,x,paper,,"], "line 2, spread: found 'x', expected a number"),
        (["table1,pair,KD,top1,74,,paper,,x"], "line 2, runs: found 'x', expected a number"),
        (["table1,pair,KD,top1"], "line 2, source: found '', expected"),
    ],
)
def test_a_row_that_is_not_whole_is_refused_in_one_line(tmp_path, rows, message):
    """The line names the file, the row's line and the column."""
    with pytest.raises(BadValue) as caught:
        read(tmp_path, *rows)
    assert f"study.csv, {message}" in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_without_a_column_is_refused(tmp_path):
    """The line names it."""
    with pytest.raises(BadValue, match="expected a column 'source'"):
        read(tmp_path, FIRST, head=HEAD.replace("source", "origin"))
