"""The growing record of a search: one row of weights and alphas per step."""

import torch
from torch import Tensor


class ProcessLog:
    """Two tables of n columns that grow by one row per step.

    New rows stay on their device until somebody reads the tables: writing never waits for it.

    Args:
        n: number of pathways.
    """

    def __init__(self, n: int) -> None:
        self._tables = (torch.empty(0, n), torch.empty(0, n))
        self._pending: list[tuple[Tensor, Tensor]] = []

    def __len__(self) -> int:
        return len(self._tables[0]) + len(self._pending)

    def push(self, weights: Tensor, alphas: Tensor) -> None:
        """Add a row, (n,) each; the tensors are kept, so they must not change afterwards."""
        self._pending.append((weights, alphas))

    def read(self) -> tuple[Tensor, Tensor]:
        """Weights and alphas so far, (T, n) float32 each, on the CPU."""
        if self._pending:
            columns = zip(self._tables, zip(*self._pending, strict=True), strict=True)
            new = [(table, torch.stack(rows).to("cpu", torch.float32)) for table, rows in columns]
            weights, alphas = (torch.cat(parts) for parts in new)
            self._tables, self._pending = (weights, alphas), []
        return self._tables

    def write(self, weights: Tensor, alphas: Tensor) -> None:
        """Start again from what `read` returned."""
        self._tables, self._pending = (weights.cpu(), alphas.cpu()), []
