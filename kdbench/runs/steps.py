"""One training step: of a network alone, of a student under a teacher, of a first part."""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.amp import GradScaler
from torch.optim import Optimizer

from kdbench.data.loaders.batch import Batch
from kdbench.distill.loss import DistillationLoss, backward_of_sum
from kdbench.distill.schedules import FirstPart
from kdbench.engine import ranks
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision
from kdbench.engine.schedules import rate_at
from kdbench.evaluate.tasks import task_of
from kdbench.exhibits.recipe import Recipe
from kdbench.models import recompute
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
        images_at_once: see `kdbench.store.parts.Runtime`.
        scaler: of the loss; None where it keeps its size. One for all optimisers of a run.
    """

    student: StagedNetwork
    teacher: Teacher | None
    loss: DistillationLoss | None
    task_weight: float
    optimiser: Optimizer
    recipe: Recipe
    steps: int
    precision: Precision
    images_at_once: int | None = None
    scaler: GradScaler | None = None

    def __call__(self, batch: Batch, position: TrainingPosition) -> dict[str, Tensor]:
        """Train on one batch; returns the weighted loss terms."""
        rate = position.read(lambda at: rate_at(self.recipe, at.step, self.steps))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        if self.images_at_once is not None and len(batch.images) > self.images_at_once:
            terms = self._in_parts(batch, position, self.images_at_once)
            take_step(self.optimiser, self.scaler)
            return terms
        task, terms, batch, theirs = self._forward(batch, position)
        self.optimiser.zero_grad(set_to_none=True)
        self._backward(task, terms)
        take_step(self.optimiser, self.scaler)
        if self.loss is not None:
            self.loss.after_step(self.student, theirs, batch, self.optimiser)
        return {"task": task, **terms}

    def _forward(
        self, batch: Batch, position: TrainingPosition
    ) -> tuple[Tensor, dict[str, Tensor], Batch, Features | None]:
        """The task's loss, the other terms, the batch as it was looked at, the teacher's features.

        Both losses are weighted.
        """
        own = task_of(self.student)
        if self.loss is None:
            with self.precision.autocast():
                task = own.loss_of_images(self.student, batch.images, batch.labels)
                return self.task_weight * task, {}, batch, None
        batch, theirs = self._read_teacher(batch)
        with self.precision.autocast():
            ours = self.student.read(batch.images)
            terms = dict(self.loss(ours, theirs, batch, position))
            task = self.task_weight * own.training_loss(ours, batch.labels)
        return task, terms, batch, theirs

    def _in_parts(
        self, batch: Batch, position: TrainingPosition, largest: int
    ) -> dict[str, Tensor]:
        """Put the gradients of a batch, added up over parts of nearly one size, into `.grad`.

        A part counts by its share of the images, so that means over images are the batch's.
        """
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        total: dict[Tensor, Tensor] = {}
        sums: dict[str, Tensor] = {}
        for part in parts_of(batch, largest):
            share = len(part.images) / len(batch.images)
            task, terms, *_ = self._forward(part, position)
            scaled = {name: share * term for name, term in {"task": task, **terms}.items()}
            self.optimiser.zero_grad(set_to_none=True)
            self._backward(scaled["task"], {name: scaled[name] for name in terms})
            for p in parameters:
                if p.grad is not None:
                    total[p] = total[p] + p.grad if p in total else p.grad
            for name, term in scaled.items():
                sums[name] = sums.get(name, 0.0) + term.detach()
        for p in parameters:
            p.grad = total.get(p)
        return sums

    def work(self, position: TrainingPosition) -> Hashable:
        """See `kdbench.engine.fit.Work`."""
        return None if self.loss is None else self.loss.work(position)

    @property
    def uncaptured(self) -> str:
        """See `DistillationLoss`."""
        if self.scaler is not None:
            return "fp16 looks at every step whether its gradients are finite"
        if ranks.size() > 1:
            return "several ranks exchange gradients at every step"
        if recompute.wanted():
            return "blocks that compute again keep the state of random numbers"
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
        if self.scaler is not None:
            task = self.scaler.scale(task)
            terms = {name: self.scaler.scale(term) for name, term in terms.items()}
        if self.loss is None:
            backward_of_sum(task)
        else:
            self.loss.combine(task, terms, list(self.student.parameters()))


def take_step(optimiser: Optimizer, scaler: GradScaler | None) -> None:
    """Step by the gradients in `.grad`, averaged over ranks; under a scaler if they are finite."""
    ranks.average_gradients(p for group in optimiser.param_groups for p in group["params"])
    if scaler is None:
        optimiser.step()
        return
    scaler.step(optimiser)
    scaler.update()


def parts_of(batch: Batch, largest: int) -> Iterator[Batch]:
    """A batch in parts of at most `largest` images, whose sizes differ by one at most."""
    count = -(-len(batch.images) // largest)
    pieces = (tensor.tensor_split(count) for tensor in batch)
    yield from map(Batch._make, zip(*pieces, strict=True))


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
        scaler: the main part's.
    """

    student: StagedNetwork
    teacher: Teacher
    loss: DistillationLoss
    part: FirstPart
    optimiser: Optimizer
    precision: Precision
    scaler: GradScaler | None = None

    def __call__(self, batch: Batch, position: TrainingPosition) -> dict[str, Tensor]:
        """Train on one batch; returns the weighted loss terms."""
        with self.precision.autocast():
            theirs = self.teacher.read(batch.images)
            ours = self.student.read(batch.images) if self.part.trains_trunk else None
            terms = dict(self.loss.first_terms(ours, theirs, batch, position))
        self.optimiser.zero_grad(set_to_none=True)
        scale = self.scaler.scale if self.scaler is not None else lambda term: term
        backward_of_sum(*map(scale, terms.values()))
        take_step(self.optimiser, self.scaler)
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
