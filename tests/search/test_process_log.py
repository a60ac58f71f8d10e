"""The growing record of a search."""

import torch
from torch import rand

from kdbench.search.process_log import ProcessLog


def test_rows_come_back_in_order_however_often_they_are_read():
    """A log that is read in the middle gives what one that is read at the end gives."""
    rows = [(rand(3), rand(3)) for _ in range(5)]
    process, other = ProcessLog(3), ProcessLog(3)
    for k, row in enumerate(rows):
        process.push(*row)
        other.push(*row)
        assert len(process) == k + 1
        if k % 2:
            process.read()
    for table, again, column in zip(
        process.read(), other.read(), zip(*rows, strict=True), strict=True
    ):
        assert torch.equal(table, torch.stack(column)) and torch.equal(table, again)


def test_a_process_continues_from_what_was_read():
    """A second log that takes over the first one's rows gives the same after the next row."""
    first, second = ProcessLog(2), ProcessLog(2)
    first.push(rand(2), rand(2))
    second.write(*first.read())
    row = (rand(2), rand(2))
    first.push(*row)
    second.push(*row)
    assert all(torch.equal(a, b) for a, b in zip(first.read(), second.read(), strict=True))


def test_an_empty_process_has_no_rows():
    """Its tables have a column per pathway before the first step."""
    assert [tuple(table.shape) for table in ProcessLog(4).read()] == [(0, 4), (0, 4)]
