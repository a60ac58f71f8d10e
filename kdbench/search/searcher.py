"""What the search phase drives: the base class of all searches, what it is given and returns."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager
from inspect import isclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias

from torch import Tensor, nn
from torch.optim import SGD

from kdbench.data.loaders.batch import Batch
from kdbench.engine.position import TrainingPosition
from kdbench.errors import BadValue
from kdbench.models.stages import Features

Autocast: TypeAlias = Callable[[], AbstractContextManager[Any]]


class SearchBatch(NamedTuple):
    """A batch, and the teacher's features of it.

    Attributes:
        batch: images and labels.
        teacher: features without a graph; None where the search does not ask for them.
    """

    batch: Batch
    teacher: Features | None = None

    def features(self) -> Features:
        """The teacher's features.

        Raises:
            ValueError: this batch came without them.
        """
        if self.teacher is None:
            raise ValueError("no teacher's features of this batch; see teacher_on_validation")
        return self.teacher


class TeacherDepth(NamedTuple):
    """The last stage of the teacher that a step looks at; None for the whole network.

    Attributes:
        train: in the training batch.
        validation: in the validation batch, of a search with `teacher_on_validation`.
    """

    train: int | None = None
    validation: int | None = None


class Finding(Protocol):
    """What a search found."""

    def save(self, folder: Path) -> None:
        """Write it into the run's artifact folder, whole or not at all."""
        ...

    def summary(self) -> dict[str, Any]:
        """Keys for the search's record, small and JSON."""
        ...


class Searcher(ABC):
    """A search; the class that a search's declaration names is a subclass.

    Constructed as `cls(student, teacher, *, lr, momentum, nesterov, weight_decay, autocast,
    **parameters)`: both networks, the constants of the protocol's SGD, the context for passes in
    the run's precision, and the declaration's parameters. A declaration with `start = "teacher"`
    gets a student of the teacher's family with the teacher's weights; one with `base` gets
    `base=...`, what the base search found, read by that search's `load_finding`.

    One parameter never arrives: `held_out` is the validation share, the part of the training
    images that is kept from training and on which the search measures what it tunes. The phase
    splits it off and passes its batches to `step`.

    A subclass implements `step`, `state_dict`, `load_state_dict` and `finding`; all else has a
    default here.

    On a GPU a step can be recorded and replayed where it is written in two parts: `compute`, all
    that is done on the device, and `note`, what is kept of it; `step` is then one after the other.

    Attributes:
        uncaptured: why steps cannot be recorded, in words for a user; empty where they can.
        teacher_on_validation: whether validation batches come with the teacher's features.
        optimiser: SGD of the weights, with one parameter group; set by the subclass.
    """

    uncaptured: ClassVar[str] = "this search has no steps that could be"
    teacher_on_validation: ClassVar[bool] = False
    optimiser: SGD

    @property
    def connectors(self) -> nn.Module:
        """What is trained beside the student; the phase moves it to the device. By default nothing.

        A search that has connectors returns the same module every time.
        """
        return nn.Identity()

    @property
    def lr(self) -> float:
        """Learning rate of the weights' next step; the phase sets it along the schedule.

        By default that of `optimiser`.
        """
        return float(self.optimiser.param_groups[0]["lr"])

    @lr.setter
    def lr(self, value: float) -> None:
        self.optimiser.param_groups[0]["lr"] = value

    @property
    def finished(self) -> bool:
        """Whether the search is over before its last epoch; read after every epoch.

        By default it runs to its end.
        """
        return False

    def work(self, position: TrainingPosition) -> Hashable:
        """Which operations a step does: where two steps have equal answers, they do the same ones.

        By default all steps do.
        """
        return None

    def teacher_depth(self, position: TrainingPosition) -> TeacherDepth:
        """How deep the teacher must run for a step; features end there.

        By default to its end.
        """
        return TeacherDepth()

    def reads_held_out(self, position: TrainingPosition) -> bool:
        """Whether a step looks at its validation batch; if not, `step` gets None in its place.

        By default every step does.
        """
        return True

    @classmethod
    def load_finding(cls, folder: Path) -> Finding:
        """Read what `finding().save(folder)` wrote; needed where other searches name it as base."""
        raise NotImplementedError(f"{cls.__name__} has no load_finding")  # see `check_base`

    @abstractmethod
    def step(
        self, train: SearchBatch, validation: SearchBatch | None, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """Take one step; return scalars without a graph, whose means an epoch is logged by.

        Args:
            train: training images, with the teacher's features.
            validation: images of the validation share, with the teacher's features if
                `teacher_on_validation`; None where that share is 0.
            position: where the search stands.
        """

    def compute(
        self, train: SearchBatch, validation: SearchBatch | None, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """Do a step on the device; arguments as of `step`.

        It changes the state in place, and reads of the search's course what `position` gives.

        Returns:
            Tensors without a graph: what `note` is given.
        """
        raise NotImplementedError(f"{type(self).__name__} has no compute")  # see `searcher_class`

    def note(self, seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Keep of a step what no tensor of the state holds.

        Args:
            seen: what `compute` gave; the tensors are nobody else's.

        Returns:
            What `step` returns.
        """
        raise NotImplementedError(f"{type(self).__name__} has no note")  # see `searcher_class`

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that a bit-exact resume needs, as tensors and plain values.

        Tensors may be the living ones: the phase saves them before the next step.
        """

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned, in a search built with the same arguments."""

    @abstractmethod
    def finding(self) -> Finding:
        """What was found so far."""

    def blank(self) -> Finding:
        """A finding of the same shape before any step: what `kdbench check` builds methods on.

        By default what `finding` returns then.
        """
        return self.finding()


def searcher_class(cls: Any, where: str) -> type[Any]:
    """The class of a search, of which any declared parameters can be given.

    Args:
        cls: what a declaration names.
        where: the module it comes from, for errors.

    Raises:
        BadValue: it is no `Searcher`, or lacks a method that every search must have, or that one
            whose steps can be recorded must have.
    """
    if not isclass(cls) or not issubclass(cls, Searcher):
        advice = "derive the class from kdbench.search.searcher.Searcher"
        raise BadValue(where, f"{cls!r}", "a class of searches", advice)
    if missing := sorted(cls.__abstractmethods__):
        expected = f"the methods {', '.join(missing)} of kdbench.search.searcher.Searcher"
        raise BadValue(where, f"{cls!r}", expected)
    if not cls.uncaptured and (cls.compute is Searcher.compute or cls.note is Searcher.note):
        expected = "the methods compute and note, or in uncaptured why its steps are not recorded"
        raise BadValue(where, f"{cls!r}", expected)
    return cls


def required(validation: SearchBatch | None) -> SearchBatch:
    """The validation batch of a search that cannot do without.

    Raises:
        BadValue: the validation share is 0.
    """
    if validation is None:
        expected = "a share above 0: this search measures on validation images"
        raise BadValue("search, held_out", 0.0, expected)
    return validation


def check_base(cls: type[Any], where: str) -> None:
    """Refuse a search that others name as their base and that cannot read what it found.

    Raises:
        BadValue: it has no `load_finding`.
    """
    default: Any = Searcher.load_finding
    if getattr(cls.load_finding, "__func__", None) is default.__func__:
        expected = "a class method `load_finding` that reads what it found, as others start from it"
        raise BadValue(where, f"class {cls.__name__} without load_finding", expected)
