"""One training step: of a network alone, of a student under a teacher, of a first part."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.optim import SGD

from kdbench.data.loaders.batch import Batch
from kdbench.distill.loss import DistillationLoss, backward_of_sum
from kdbench.distill.schedules import FirstPart
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision
from kdbench.engine.schedules import rate_at
from kdbench.evaluate.tasks import task_of
from kdbench.exhibits.recipe import Recipe
from kdbench.models.stages import Features, StagedNetwork
from kdbench.runs.assemble import Teacher


@dataclass
class TrainStep:
    """One step of a training: the teacher's look, both losses, the optimiser.

    Attributes:
        student: what is trained.
        teacher: None where the loss needs none.
        loss: None for a teacher's own training; its hooks are called where they belong.
        task_weight: factor of the task's own loss.
        optimiser: of student and connectors.
        recipe: gives the learning rate.
        steps: of an epoch.
        precision: of the forward passes.
    """

    student: StagedNetwork
    teacher: Teacher | None
    loss: DistillationLoss | None
    task_weight: float
    optimiser: SGD
    recipe: Recipe
    steps: int
    precision: Precision

    def __call__(self, batch: Batch, position: TrainingPosition) -> dict[str, Tensor]:
        """Train on one batch; returns the weighted loss terms."""
        rate = position.read(lambda at: rate_at(self.recipe, at.step, self.steps))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        theirs, own = None, task_of(self.student)
        if self.loss is None:
            with self.precision.autocast():
                task = own.loss_of_images(self.student, batch.images, batch.labels)
                task, terms = self.task_weight * task, {}
        else:
            batch, theirs = self._read_teacher(batch)
            with self.precision.autocast():
                ours = self.student.read(batch.images)
                terms = dict(self.loss(ours, theirs, batch, position))
                task = self.task_weight * own.training_loss(ours, batch.labels)
        self.optimiser.zero_grad(set_to_none=True)
        self._backward(task, terms)
        self.optimiser.step()
        if self.loss is not None:
            self.loss.after_step(self.student, theirs, batch, self.optimiser)
        return {"task": task, **terms}

    def work(self, position: TrainingPosition) -> Hashable:
        """See `kdbench.engine.fit.Work`."""
        return None if self.loss is None else self.loss.work(position)

    @property
    def uncaptured(self) -> str:
        """See `DistillationLoss`."""
        return "" if self.loss is None else self.loss.uncaptured

    def _read_teacher(self, batch: Batch) -> tuple[Batch, Features | None]:
        """The teacher's features, and the batch with images that have a gradient if need be."""
        graph = self.loss is not None and self.loss.images_need_grad
        if graph:
            batch = batch._replace(images=batch.images.detach().requires_grad_())
        if self.teacher is None:
            return batch, None
        with self.precision.autocast():
            return batch, self.teacher.read(batch.images, graph=graph)

    def _backward(self, task: Tensor, terms: Mapping[str, Tensor]) -> None:
        if self.loss is None:
            backward_of_sum(task)
        else:
            self.loss.combine(task, terms, list(self.student.parameters()))


@dataclass
class FirstStep:
    """One step of the part before the main one: the loss's own terms, at a constant rate.

    Attributes:
        student: its trunk is trained where the part asks for it.
        teacher: looks.
        loss: gives the first part and its terms.
        part: the first part of the loss.
        optimiser: of what the part trains; not the main part's.
        precision: of the forward passes.
    """

    student: StagedNetwork
    teacher: Teacher
    loss: DistillationLoss
    part: FirstPart
    optimiser: SGD
    precision: Precision

    def __call__(self, batch: Batch, position: TrainingPosition) -> dict[str, Tensor]:
        """Train on one batch; returns the weighted loss terms."""
        with self.precision.autocast():
            theirs = self.teacher.read(batch.images)
            ours = self.student.read(batch.images) if self.part.trains_trunk else None
            terms = dict(self.loss.first_terms(ours, theirs, batch, position))
        self.optimiser.zero_grad(set_to_none=True)
        backward_of_sum(*terms.values())
        self.optimiser.step()
        return terms


@dataclass
class TwoParts:
    """A first part of some epochs, then the main one; each counts its own time.

    Attributes:
        first: does the steps of the first epochs.
        main: does all others.
        epochs: length of the first part.
    """

    first: FirstStep
    main: TrainStep
    epochs: int

    def __call__(self, batch: Batch, position: TrainingPosition) -> dict[str, Tensor]:
        """Do the step that the epoch asks for, at the position as that part counts it."""
        part = self.first if position.read(self._in_first) else self.main
        return part(batch, position.seen(self._own))

    def work(self, position: TrainingPosition) -> Hashable:
        """See `kdbench.engine.fit.Work`: the first part's steps are all alike."""
        if self._in_first(position):
            return "first"
        return "main", self.main.work(self._own(position))

    @property
    def uncaptured(self) -> str:
        """See `DistillationLoss`."""
        return self.main.uncaptured

    def _in_first(self, position: TrainingPosition) -> bool:
        return position.epoch < self.epochs

    def _own(self, position: TrainingPosition) -> TrainingPosition:
        """The position as the part counts it that the epoch belongs to."""
        before = self.epochs * self.main.steps
        if self._in_first(position):
            return TrainingPosition(position.step, before, position.epoch, self.epochs)
        return TrainingPosition(
            position.step - before,
            position.steps - before,
            position.epoch - self.epochs,
            position.epochs - self.epochs,
        )
