"""What every distillation loss is: its terms, and what it may ask of the training."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from inspect import isclass, signature
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from kdbench.data.loaders.batch import Batch
from kdbench.distill.schedules import FirstPart
from kdbench.engine.position import TrainingPosition
from kdbench.errors import BadValue
from kdbench.models.stages import Features, StagedNetwork


class DistillationLoss(nn.Module):
    """A loss between the features of a student and of its teacher.

    Built as `cls(student, teacher, **parameters)`: the two networks, then every parameter that the
    declaration lists, by keyword. Two more keywords come where they are asked for: `scheme`, what
    a search found, where the declaration names a `search`; and `labels`, see `takes_labels`.

    A loss reads the shapes of the networks' stages and keeps no reference to either network, so
    that its parameters are those of its own connectors: saved in checkpoints, thrown away at the
    end. A subclass writes `forward`; everything else here is a hook with a default.

    Attributes:
        first: a part of the training before the main one, whose terms `first_terms` gives; None
            for a training in one part. Curves of that part are called `first_*`.
        images_need_grad: whether the images carry a gradient while both networks read them, and
            the teacher's features a graph to them, for losses that differentiate in the images.
        optimisers: optimisers that the loss steps itself, in `after_step`, by the names under
            which checkpoints hold them. Their parameters are not those of `trained_with_student`.
        reads_several: whether the loss takes several teachers together itself, from
            `FeaturesOfTeachers`. By default a student of several has the mean of one loss each.
        uncaptured: why a step cannot be recorded and replayed on a GPU, in words for a user; empty
            where it can: all that a step changes it changes in place, and all that it reads of the
            training's course it reads from `position`.
    """

    first: FirstPart | None = None
    images_need_grad: bool = False
    optimisers: Mapping[str, Optimizer] = MappingProxyType({})
    reads_several: bool = False
    uncaptured: str = ""

    @classmethod
    def takes_labels(cls) -> bool:
        """Whether the constructor gets `labels`, (N,) int64 of the whole training set.

        By default, where it has a parameter of that name.
        """
        return "labels" in signature(cls).parameters

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """Compare two networks that read the same batch.

        Args:
            student: features with a graph.
            teacher: features without a graph, but see `images_need_grad`.
            batch: the images (B, C, H, W), their labels (B,) and their positions (B,) in the
                training set.
            position: where the training stands; the main part counts its own steps and epochs.

        Returns:
            Named scalars, each already weighted. The task's own loss is not among them.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward")  # see `check_hooks`

    def first_terms(
        self, student: Features | None, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """The terms of the first part; called, in place of `forward`, where there is one.

        Args:
            student: None where `first.trains_trunk` is not set.
            teacher: as in `forward`, the next two as well.
            batch: see above.
            position: see above; the first part counts its own steps and epochs.

        Returns:
            Named scalars, at least one.
        """
        raise NotImplementedError(f"{type(self).__name__} has no first_terms")  # see `check_hooks`

    def work(self, position: TrainingPosition) -> Hashable:
        """Which operations a step does: where two steps have equal answers, they do the same ones.

        By default all steps do; a loss that leaves out what has no weight says what it computes.
        """
        return None

    def bytes_held(self, images: int, batch: int) -> int:
        """The most bytes at once that grow with the training set; by default none do.

        Args:
            images: of the training set.
            batch: images of a step.
        """
        return 0

    def trained_with_student(self) -> nn.Module:
        """The module whose parameters the student's optimiser trains: by default all of the loss.

        The first part's optimiser trains all of the loss in any case.
        """
        return self

    def combine(
        self, task: Tensor, terms: Mapping[str, Tensor], student: Sequence[nn.Parameter]
    ) -> None:
        """Put the step's gradients into `.grad`: by default those of the sum of all terms.

        Args:
            task: the task's loss, weighted.
            terms: what `forward` gave.
            student: the student's parameters. Those of the loss need gradients as well.
        """
        backward_of_sum(task, *terms.values())

    def after_step(
        self, student: StagedNetwork, teacher: Features | None, batch: Batch, optimiser: Optimizer
    ) -> None:
        """Learn beside the training, once a step of the main part is taken: by default nothing.

        Args:
            student: in train mode, to be left as it is, the statistics of batch norms included.
            teacher: features of the batch; None where the method needs no teacher.
            batch: the batch of that step.
            optimiser: of student and loss, one parameter group, to be left as it is.
        """


def needs_step_alone(loss: DistillationLoss) -> str | None:
    """Why a loss cannot share its steps with others, in words for a user; None if it can."""
    if loss.first is not None:
        return "has a first part of its own before the training"
    if loss.images_need_grad:
        return "looks at input gradients"
    if type(loss).combine is not DistillationLoss.combine:
        return "treats gradients apart"
    if type(loss).after_step is not DistillationLoss.after_step or loss.optimisers:
        return "learns after every step"
    return None


def first_reason(losses: Iterable[DistillationLoss]) -> str:
    """Why steps of several losses together cannot be recorded; empty where they can."""
    return next((loss.uncaptured for loss in losses if loss.uncaptured), "")


def read_features(features: Features | None) -> Features:
    """Features that a hook gets in some trainings only, for a loss that is declared to get them.

    Raises:
        TypeError: there are none.
    """
    if features is None:
        raise TypeError("no features: see first.trains_trunk and the declaration's needs_teacher")
    return features


def backward_of_sum(*terms: Tensor) -> None:
    """Put the gradients of a sum of scalars, added in float32, into `.grad`."""
    torch.stack([term.float() for term in terms]).sum().backward()


def loss_class(cls: Any, where: str) -> type[DistillationLoss]:
    """A class of losses, with every hook that it does not define itself.

    Args:
        cls: what a declaration names. A plain `nn.Module` with a `forward`, as plug-ins may be, is
            given the defaults of `DistillationLoss`.
        where: the module it comes from, for errors.

    Raises:
        BadValue: no class, or not of modules.
    """
    if not isclass(cls) or not issubclass(cls, nn.Module):
        advice = "derive the class from kdbench.distill.loss.DistillationLoss"
        raise BadValue(where, f"{cls!r}", "a class of distillation losses", advice)
    if issubclass(cls, DistillationLoss):
        return cls
    return type(cls.__name__, (cls, _PlainModule), {"__module__": cls.__module__})


def check_hooks(loss: DistillationLoss, where: str) -> None:
    """Refuse a loss that lacks a method which its training calls, before anything is trained.

    Args:
        loss: as built: only then is it known whether it has a first part.
        where: the module it comes from, for errors.

    Raises:
        BadValue: no `forward`, or a first part without `first_terms`.
    """
    name = type(loss).__name__
    if _inherits(loss.forward, DistillationLoss.forward):
        expected = "a method `forward` that returns the loss's terms"
        raise BadValue(where, f"class {name} without forward", expected)
    if loss.first is not None and _inherits(loss.first_terms, DistillationLoss.first_terms):
        expected = "a method `first_terms` that returns the terms of its first part"
        raise BadValue(where, f"class {name} without first_terms", expected)


def _inherits(method: Any, default: Any) -> bool:
    """Whether a bound method is the base class's."""
    return getattr(method, "__func__", None) is default


class _PlainModule(DistillationLoss):
    """The defaults for a module that was not written as a `DistillationLoss`."""

    def trained_with_student(self) -> nn.Module:
        """Its part `trained`, a module or a property that gives one; without it all of the loss."""
        trained = getattr(self, "trained", self)
        return trained if isinstance(trained, nn.Module) else self
