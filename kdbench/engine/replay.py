"""A training step that is recorded once and played again, in place of being built every time.

A small network's step is hundreds of kernels of some microseconds each, which Python cannot launch
as fast as a GPU does them. A recording (on CUDA, a graph) launches all of them at once. It does the
same operations on the same memory, so what differs between two steps must be written there before:
the images and labels, and what the step is fed by its position. Nothing else of a step is Python
any more: the Python of a step is run when it is recorded, once more than the step is taken, and
then no more. A step of which that is not true must not be recorded. So every recording is tried:
its first steps are also taken operation by operation, and both must agree to the bit.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from kdbench.engine.noted import NotedPosition, Notes
from kdbench.engine.position import TrainingPosition
from kdbench.engine.train_state import Stateful

WARM_UPS = 3  # steps of a kind before it is recorded: kernels are loaded, momenta made
TRIALS = 2  # first steps of a recording that are compared: of two batches and positions
MOST = 8  # recordings that are kept
FRUITLESS = 32  # kinds in a row without a second step, after which the user is told

NOT_REPLAYED = "steps are launched operation by operation, not replayed"

Terms: TypeAlias = dict[str, Tensor]
Step: TypeAlias = Callable[[Any, TrainingPosition], Mapping[str, Tensor]]
"""Of (tuples of) tensors and a position: changes the state in place, and gives named tensors."""


class Recording(Protocol):
    """A step that can be played."""

    def replay(self) -> None:
        """Do all its operations again, on the memory that it was recorded on."""
        ...


class Recorder(Protocol):
    """How steps are recorded on a device."""

    def at_work(self) -> AbstractContextManager[None]:
        """Context of every step, recorded or not."""
        ...

    def record(self, work: Callable[[], None], state: list[Tensor]) -> Recording:
        """Record some work without doing it.

        Args:
            work: the step, on memory that stays.
            state: what it changes, to be as before afterwards.

        Raises:
            RuntimeError: the work cannot be recorded.
        """
        ...


@dataclass
class Kind:
    """Steps that do the same operations: their inputs are alike and they read the same values.

    Attributes:
        shapes: of the inputs.
        notes: what the steps read of their position.
        steps: how many were taken one operation at a time.
        trials: how many were taken both ways.
        given: inputs that the recording reads.
        terms: what it gives.
        recording: None before it is made.
    """

    shapes: tuple[Any, ...]
    notes: Notes
    steps: int = 1
    trials: int = 0
    given: Any = None
    terms: Terms = field(default_factory=dict)
    recording: Recording | None = None


class Replay:
    """A step for `kdbench.engine.fit`, to the bit the one that it is made of.

    Args:
        step: a whole training step. What it changes lies in `parts` and stays where it is; all
            that it reads besides are its inputs and, through its position, pure functions of that.
        parts: whatever the training changes, as a checkpoint has it.
        recorder: of the device.
        say: called with one line where steps cannot be replayed.

    Attributes:
        replayed: steps that were taken by a recording.
        reason: why no step is recorded any more; empty as long as steps are.
    """

    def __init__(
        self,
        step: Step,
        parts: Mapping[str, Stateful],
        recorder: Recorder,
        say: Callable[[str], None] = print,
    ) -> None:
        self._step, self._parts, self._recorder, self._say = step, parts, recorder, say
        self._kinds: list[Kind] = []
        self._fruitless = 0
        self._told = False
        self.replayed = 0
        self.reason = ""

    def __call__(self, given: Any, position: TrainingPosition) -> Mapping[str, Tensor]:
        """Take one step, by a recording if there is one of its kind.

        Where operations are being counted they are done one by one: a recording shows none.
        """
        if self.reason:
            return self._step(given, position)
        with self._recorder.at_work():  # counted steps too: all are on one stream
            if is_in_torch_dispatch_mode():
                return self._step(given, position)
            return self._take(given, position)

    def _take(self, given: Any, position: TrainingPosition) -> Mapping[str, Tensor]:
        """A first step of its kind, one to warm up, or one of a recording."""
        kind = self._kind_of(given, position)
        if kind is None:
            return self._meet(given, position)
        self._fruitless = 0
        if kind.steps < WARM_UPS:
            kind.steps += 1
            return self._step(given, position)
        if kind.recording is None:
            self._record(kind, given, position)
        if kind.recording is None:
            return self._step(given, position)
        if kind.trials < TRIALS:
            kind.trials += 1
            return self._try(kind, given, position)
        return self._play(kind, given, position)

    def _meet(self, given: Any, position: TrainingPosition) -> Mapping[str, Tensor]:
        """Take the first step of a kind, and note what it reads."""
        kind = Kind(_shapes(given), Notes())
        self._kinds = [kind, *self._kinds[: MOST - 1]]
        self._fruitless += 1
        terms = self._step(given, NotedPosition(position, kind.notes))
        if self._fruitless == FRUITLESS and not self._told:
            self._tell("as long as every step reads other values of its position")
        return terms

    def _kind_of(self, given: Any, position: TrainingPosition) -> Kind | None:
        """The kind of a step, if one was taken before; it is then the first of all."""
        shapes = _shapes(given)
        for place, kind in enumerate(self._kinds):
            if kind.shapes == shapes and kind.notes.hold_at(position):
                self._kinds.insert(0, self._kinds.pop(place))
                return kind
        return None

    def _record(self, kind: Kind, given: Any, position: TrainingPosition) -> None:
        """Record a step; where that fails, steps go on as they are."""
        kind.given = _changed(given, torch.clone)

        def work() -> None:
            tensors = (tensor for _, tensor in kind.notes.tensors)
            terms = self._step(kind.given, NotedPosition(position, kind.notes, iter(tensors)))
            kind.terms = {name: value.detach() for name, value in terms.items()}

        state, recording = self._state(), None
        try:
            recording = self._recorder.record(work, state)
        except RuntimeError as error:
            self._give_up(_first_cause(error))
        if self._put_back(state) and recording is not None:
            self._give_up("a step replaces tensors that it should write to")
        elif recording is not None:
            kind.recording = recording

    def _put_back(self, state: list[Tensor]) -> bool:
        """Whether a step that was recorded, not done, left other tensors; they get the values."""
        living = self._state()
        replaced = [x.data_ptr() for x in living] != [x.data_ptr() for x in state]
        if replaced:
            _copy(state, living)
        return replaced

    def _try(self, kind: Kind, given: Any, position: TrainingPosition) -> Mapping[str, Tensor]:
        """Take a step both ways; where they differ, the recording is not used again."""
        before = [tensor.clone() for tensor in self._state()]
        expected = {k: v.detach().clone() for k, v in self._step(given, position).items()}
        after = [tensor.clone() for tensor in self._state()]
        _copy(before, self._state())
        terms = self._play(kind, given, position)
        if _same([*terms.values(), *self._state()], [*expected.values(), *after]):
            return terms
        _copy(after, self._state())
        self._give_up("a replayed step differs from the same one taken operation by operation")
        return expected

    def _play(self, kind: Kind, given: Any, position: TrainingPosition) -> Terms:
        """Write a step's inputs where the recording reads them, play it, copy what it gives."""
        _copy(_tensors(given), _tensors(kind.given))
        kind.notes.refill(position)
        if kind.recording is not None:
            kind.recording.replay()
        self.replayed += 1
        return {name: value.detach().clone() for name, value in kind.terms.items()}

    def _state(self) -> list[Tensor]:
        """The tensors that the training changes, the living ones."""
        return list(_tensors({name: part.state_dict() for name, part in self._parts.items()}))

    def _give_up(self, reason: str) -> None:
        self.reason, self._kinds = reason, []
        self._tell(reason)

    def _tell(self, reason: str) -> None:
        self._told = True
        self._say(f"{NOT_REPLAYED}: {reason}")


def _first_cause(error: BaseException) -> str:
    """What was wrong first, in one line: the end of a failed recording fails too, and hides it."""
    while error.__context__ is not None:
        error = error.__context__
    return " ".join(str(error).split())[:200]


def _tensors(tree: Any) -> Iterator[Tensor]:
    """All tensors of tuples, lists and mappings, in their order."""
    if isinstance(tree, Tensor):
        yield tree.detach()
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from _tensors(value)
    elif isinstance(tree, tuple | list):
        for value in tree:
            yield from _tensors(value)


def _changed(tree: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same tuples of changed tensors; None stays.

    Raises:
        TypeError: something else is among them, which a recording would hold for ever.
    """
    if tree is None:
        return None
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, tuple):
        values = (_changed(value, change) for value in tree)
        return type(tree)(*values) if hasattr(tree, "_fields") else tuple(values)
    raise TypeError(f"a step's inputs are tensors in tuples, not {type(tree).__name__}")


def _shapes(tree: Any) -> tuple[Any, ...]:
    """What two inputs must share for one recording: shapes, types, strides and devices."""
    return tuple((x.shape, x.dtype, x.stride(), x.device) for x in _tensors(tree))


def _copy(sources: Any, targets: Any) -> None:
    """Write tensors into others, one by one."""
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)


def _same(ones: list[Tensor], others: list[Tensor]) -> bool:
    """Whether all are equal to the bit; what is not a number equals itself."""
    return len(ones) == len(others) and all(
        torch.equal(one.nan_to_num(), other.nan_to_num())
        and torch.equal(one.isnan(), other.isnan())
        for one, other in zip(ones, others, strict=True)
    )
