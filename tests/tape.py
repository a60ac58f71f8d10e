"""A stand-in for CUDA graphs on the CPU, and what would make a GPU wait."""

from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
WAITS = {  # the host looks at a value, or needs a shape that depends on values
    aten._local_scalar_dense.default,
    aten.is_nonzero.default,
    aten.equal.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten._unique2.default,
}
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}


def waits(func, args):
    """Whether a GPU's queue of kernels would have to be empty before the host goes on."""
    if func in INDEXING:
        return any(x is not None and x.dtype in (torch.bool, torch.uint8) for x in args[1])
    return func in WAITS


class Waits(TorchDispatchMode):
    """Lists every operation inside for which a GPU would wait, backward passes included."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Do it and remember it."""
        if waits(func, args):
            self.names.append(func.name())
        return func(*args, **(kwargs or {}))


class Tape(TorchDispatchMode):
    """Operations that can be done again on the same memory, without the Python between them."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Do it and remember it; refuse what cannot be in a graph."""
        if waits(func, args):
            raise RuntimeError(f"operation not permitted when stream is capturing: {func.name()}")
        result = func(*args, **(kwargs or {}))
        if torch.Tag.inplace_view not in func.tags:  # those change a shape and no memory
            self.calls.append((func, *(_as_it_is(tree) for tree in (args, kwargs or {}, result))))
        return result

    def replay(self):
        """Do all of them again; what they gave is written where it lay."""
        with torch.no_grad():
            for func, args, kwargs, result in self.calls:
                again = func(*args, **kwargs)
                for old, new in zip(_tensors(result), _tensors(again), strict=True):
                    if old.data_ptr() != new.data_ptr():
                        old.copy_(new)


class TapeRecorder:
    """Records on the CPU; what recording does to the state is undone, as a GPU does nothing.

    A recording that fails ends in an error of its own, as the end of a capture does.
    """

    def __init__(self):
        self.tapes, self.working = [], False

    @contextmanager
    def at_work(self):
        """All steps are within it."""
        self.working = True
        try:
            yield
        finally:
            self.working = False

    def record(self, work, state):
        """Do the work once, and put the state back."""
        before, tape = [tensor.clone() for tensor in state], Tape()
        try:
            with tape:
                work()
        except RuntimeError:
            raise RuntimeError("operation failed due to a previous error during capture")  # noqa: B904
        finally:
            for tensor, value in zip(state, before, strict=True):
                tensor.copy_(value)
        self.tapes.append(tape)
        return tape


def _as_it_is(tree):
    """The same memory as tensors of their own, whose shapes nobody changes."""
    if isinstance(tree, torch.Tensor):
        return tree.detach()
    if isinstance(tree, dict):
        return {key: _as_it_is(value) for key, value in tree.items()}
    return type(tree)(map(_as_it_is, tree)) if isinstance(tree, tuple | list) else tree


def _tensors(result):
    """The tensors that an operation gave."""
    values = result if isinstance(result, tuple | list) else (result,)
    return [value for value in values if isinstance(value, torch.Tensor)]
