"""What the processes of one run, its ranks, do together; a process alone does nothing of it.

PyTorch's process group is global to a process, and so are the ranks at work. `together` puts them
to work; outside it every function here answers as for a process alone, so that the first rank can
do by itself what needs no others.

Gradients are averaged after the backward pass, by one all-reduce of all of them. PyTorch's
`DistributedDataParallel` averages in hooks of the parameters' `.grad`, which searches and losses in
forward mode never fill: they take gradients by `torch.autograd.grad`.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from kdbench.errors import UserError

MOST_DIMENSIONS = 4  # of a row
APART = ("running_mean", "running_var", "num_batches_tracked")  # what each rank's norms remember


class LostContact(UserError):
    """Something that all ranks do together failed, because of another one."""


@dataclass
class Ranks:
    """The processes of one run.

    Attributes:
        rank: of this process, 0 at the first.
        size: how many there are.
        seconds: that this process spent in what all do together, waiting for others included.
        calls: how often it did.
    """

    rank: int = 0
    size: int = 1
    seconds: float = 0.0
    calls: int = 0


ALONE = Ranks()
_at_work = ALONE


@contextmanager
def together(ranks: Ranks) -> Iterator[None]:
    """All ranks do the same inside, and their number is `size()`."""
    global _at_work
    before, _at_work = _at_work, ranks
    try:
        yield
    finally:
        _at_work = before


def at_work() -> Ranks:
    """The ranks that do the same now; one where a process works alone."""
    return _at_work


def size() -> int:
    """How many ranks are at work, 1 in a process alone."""
    return _at_work.size


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return _at_work.rank == 0


def barrier() -> None:
    """Wait until all ranks are here."""
    if size() > 1:
        _reduced(torch.zeros(1))


def total(values: Tensor) -> Tensor:
    """Sum over ranks of equally shaped tensors, which backward passes and forward mode go through.

    Its derivative in one rank's tensor is that of the sum of all ranks' losses: each rank must take
    it, and the average over ranks is the derivative of the mean loss.
    """
    return values if size() == 1 else _Total.apply(values)


def mean(values: Tensor) -> Tensor:
    """Mean over ranks, differentiable like `total`."""
    return values if size() == 1 else total(values) / size()


def largest(values: Tensor) -> Tensor:
    """Largest value over ranks, entry by entry, without a graph."""
    return values if size() == 1 else _reduced(values.detach().clone(), dist.ReduceOp.MAX)


def average(tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Mean over ranks of many tensors without a graph, by one all-reduce per number format.

    Args:
        tensors: the same shapes on all ranks, None in the same places.
    """
    if size() == 1:
        return list(tensors)
    averaged: list[Tensor | None] = list(tensors)
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors if tensor is not None):
        places = [i for i, t in enumerate(tensors) if t is not None and t.dtype == dtype]
        parts = [part for i in places if (part := tensors[i]) is not None]
        flat = _reduced(torch.cat([part.detach().reshape(-1) for part in parts])).div_(size())
        pieces = flat.split([part.numel() for part in parts])
        for place, part, piece in zip(places, parts, pieces, strict=True):
            averaged[place] = torch.empty_like(part).copy_(piece.view(part.shape))
    return averaged


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Put the mean over ranks into every `.grad`."""
    if size() == 1:
        return
    given = [parameter for parameter in parameters if parameter.grad is not None]
    for parameter, mean_of in zip(given, average([p.grad for p in given]), strict=True):
        parameter.grad = mean_of


def rows(tensor: Tensor) -> Tensor:
    """The (n, ...) tensors of all ranks below each other, in the ranks' order, without a graph.

    n may differ between ranks. One that has no rows may give an empty tensor of any shape.
    """
    if size() == 1:
        return tensor
    counts = torch.zeros(size(), dtype=torch.int64)
    counts[_at_work.rank] = len(tensor)
    counts = _reduced(counts)
    shape = torch.zeros(MOST_DIMENSIONS, dtype=torch.int64)
    if len(tensor):
        shape[: tensor.dim() - 1] = torch.tensor(tensor.shape[1:])
    row = [n for n in _reduced(shape, dist.ReduceOp.MAX).tolist() if n]
    before = int(counts[: _at_work.rank].sum())
    whole = tensor.new_zeros((int(counts.sum()), *row))
    if len(tensor):
        whole[before : before + len(tensor)] = tensor.detach()
    return _reduced(whole)


def average_means(means: Mapping[str, float]) -> dict[str, float]:
    """Mean over ranks of named numbers, in float64."""
    if size() == 1:
        return dict(means)
    averaged = _reduced(torch.tensor(list(means.values()), dtype=torch.float64)) / size()
    return dict(zip(means, averaged.tolist(), strict=True))


def any_of(*flags: bool) -> list[bool]:
    """Which flags are set on at least one rank: so all stop and save between the same steps."""
    return list(flags) if size() == 1 else largest(torch.tensor(flags).int()).bool().tolist()


def take_buffers(module: nn.Module) -> None:
    """Give all ranks the first one's buffers: what norms remember is its own."""
    if size() > 1:
        for buffer in module.buffers():
            first = buffer if is_first() else torch.zeros_like(buffer)
            buffer.copy_(_reduced(first.clone()))


def require_alike(state: Mapping[str, Any], when: str) -> None:
    """Compare what a training changed on all ranks, but for what each rank's norms remember.

    Raises:
        UserError: it differs, so that something is trained that the ranks do not average.
    """
    if size() == 1:
        return
    named = dict(_tensors(state, ""))
    sums = torch.tensor([_fingerprint(tensor) for tensor in named.values()], dtype=torch.float64)
    low, high = -largest(-sums), largest(sums)
    for name, same in zip(named, (low == high).tolist(), strict=True):
        if not same:
            raise UserError(
                f"{when}: {name} differs between the {size()} ranks: this method learns something "
                "that they do not average; run it on one rank"
            )


def _fingerprint(tensor: Tensor) -> float:
    """A number that two tensors of other bits hardly share."""
    flat = tensor.detach().double().nan_to_num().cpu().reshape(-1)
    return float(flat @ torch.linspace(1, 2, len(flat), dtype=torch.float64)) if len(flat) else 0.0


def _tensors(state: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(state, Tensor):
        yield name, state
    elif isinstance(state, Mapping):
        for key, value in state.items():
            if str(key).rpartition(".")[2] not in APART:
                yield from _tensors(value, f"{name}.{key}".lstrip("."))
    elif isinstance(state, list | tuple):
        for place, value in enumerate(state):
            yield from _tensors(value, f"{name}.{place}")


def _reduced(tensor: Tensor, operation: Any = dist.ReduceOp.SUM) -> Tensor:
    """All-reduce in place; returns the tensor."""
    begun = time.perf_counter()
    _at_work.calls += 1
    try:
        dist.all_reduce(tensor, operation)
    except RuntimeError as error:  # PyTorch has no kind of its own for a connection that broke
        said = " ".join(str(error).split())
        raise LostContact(said[:160]) from error
    _at_work.seconds += time.perf_counter() - begun
    return tensor


class _Total(torch.autograd.Function):
    """See `total`. Its derivatives are sums over ranks too, of any order."""

    @staticmethod
    def forward(values: Tensor) -> Tensor:
        return _reduced(values.clone(memory_format=torch.contiguous_format))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing is kept."""

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _Total.apply(gradient)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Any:
        return _Total.apply(tangent)
