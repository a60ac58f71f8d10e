"""The growing record of a search: one row of weights and alphas per step."""

import torch
from torch import Tensor


class ProcessLog:
    """Tables that grow by one row per step: weights and alphas, n columns each, and others.

    New rows stay on their device until somebody reads the tables: writing never waits for it.

    Args:
        n: number of pathways.
        others: columns of every further table.
    """

    def __init__(self, n: int, *others: int) -> None:
        self._tables = tuple(torch.empty(0, width) for width in (n, n, *others))
        self._pending: list[tuple[Tensor, ...]] = []

    def __len__(self) -> int:
        return len(self._tables[0]) + len(self._pending)

    def push(self, weights: Tensor, alphas: Tensor, *others: Tensor) -> None:
        """Add a row to every table; the tensors are kept, so they must not change afterwards."""
        self._pending.append((weights, alphas, *others))

    def read(self) -> tuple[Tensor, ...]:
        """The tables so far, weights (T, n) and alphas (T, n) first, float32 on the CPU."""
        if self._pending:
            columns = zip(self._tables, zip(*self._pending, strict=True), strict=True)
            new = [(table, torch.stack(rows).to("cpu", torch.float32)) for table, rows in columns]
            self._tables, self._pending = tuple(torch.cat(parts) for parts in new), []
        return self._tables

    def write(self, weights: Tensor, alphas: Tensor, *others: Tensor) -> None:
        """Start again from what `read` returned."""
        self._tables = tuple(table.cpu() for table in (weights, alphas, *others))
        self._pending = []
