"""The record of a search."""

import torch
from torch import rand

from kdbench.search.process import Process


def test_rows_come_back_in_order_however_often_they_are_read():
    """Reading in the middle changes nothing."""
    rows = [(rand(3), rand(3)) for _ in range(5)]
    process, other = Process(3), Process(3)
    for k, row in enumerate(rows):
        process.push(*row)
        other.push(*row)
        assert len(process) == k + 1
        if k % 2:
            process.read()
    for found, again, column in zip(
        process.read(), other.read(), zip(*rows, strict=True), strict=True
    ):
        assert torch.equal(found, torch.stack(column)) and torch.equal(found, again)


def test_a_process_goes_on_from_what_was_read():
    """Write, then push."""
    first, second = Process(2), Process(2)
    first.push(rand(2), rand(2))
    second.write(*first.read())
    row = (rand(2), rand(2))
    first.push(*row)
    second.push(*row)
    assert all(torch.equal(a, b) for a, b in zip(first.read(), second.read(), strict=True))


def test_an_empty_process_has_no_rows():
    """Shapes hold before the first step."""
    assert [tuple(table.shape) for table in Process(4).read()] == [(0, 4), (0, 4)]
