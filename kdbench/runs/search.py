"""The search phase: a searcher driven along its recipe, with the test split out of its reach."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from torch import Tensor

from kdbench.data.loaders import splits
from kdbench.data.loaders.batch import Batch
from kdbench.data.loaders.mapped import image_in_training
from kdbench.data.stored.open import Stored
from kdbench.data.stored.twins import groups, without_twins
from kdbench.engine import ranks
from kdbench.engine.cuda_graphs import count_on_device, replayed
from kdbench.engine.fit import fit
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision
from kdbench.engine.replay import Step
from kdbench.engine.schedules import rate_at
from kdbench.engine.seeds import derive
from kdbench.engine.train_state import Stateful, TrainState
from kdbench.errors import BadValue, Diverged
from kdbench.exhibits.recipe import Recipe
from kdbench.models.view import Shape, View
from kdbench.runs import assemble, reading
from kdbench.runs.assemble import Loader, Teacher
from kdbench.runs.encoders import start_encoder
from kdbench.runs.held_out import fitted, teacher_weights
from kdbench.runs.job import Job, PhaseResult
from kdbench.search.searcher import Finding, SearchBatch, Searcher, check_base
from kdbench.store.record import thinned
from kdbench.store.student_runs import SearchRun

VALID = "valid"  # a split for choices, which some data sets have
SearchCall: TypeAlias = Callable[
    [SearchBatch, SearchBatch | None, TrainingPosition], dict[str, Tensor]
]


class Batches(NamedTuple):
    """What the loaders give for one step.

    Attributes:
        train: of the images that are trained on.
        validation: of those that are held out, if there are any.
    """

    train: Batch
    validation: Batch | None


@dataclass
class SearchStep:
    """One step of a search: a training batch, a validation batch, the teacher's features of them.

    Attributes:
        searcher: see `kdbench.search.searcher.Searcher`.
        validation: of the search's own share of the training images; None where that is 0.
        replayed: `compute`, recorded; None where a step is taken operation by operation.
    """

    searcher: Searcher
    teacher: Teacher
    validation: Loader | None
    recipe: Recipe
    steps: int
    precision: Precision
    replayed: Step | None = None

    def __call__(self, batch: Batch, position: TrainingPosition) -> dict[str, Tensor]:
        """Search on one batch; the validation batches go round in epochs of their own."""
        given = Batches(batch, self._validation(position.step))
        if self.replayed is not None:
            return self.searcher.note(self.replayed(given, position))
        return self._search(self.searcher.step, given, position)

    def compute(self, given: Batches, position: TrainingPosition) -> dict[str, Tensor]:
        """What of a step is done on the device, for a search that says so."""
        return self._search(self.searcher.compute, given, position)

    def _search(
        self, step: SearchCall, given: Batches, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """A step of the search, or its part, at the learning rate of the position."""
        self.searcher.lr = position.read(lambda at: rate_at(self.recipe, at.step, self.steps))
        depth = position.read(self.searcher.teacher_depth)
        train = self._read(given.train, depth.train)
        looks = position.read(self.searcher.reads_held_out)
        held = self._read_held(given.validation if looks else None, depth.validation)
        return step(train, held, position)

    def _validation(self, step: int) -> Batch | None:
        """The validation batch of a step."""
        if self.validation is None:
            return None
        return self.validation.batch(*divmod(step, self.validation.steps))

    def _read_held(self, batch: Batch | None, depth: int | None) -> SearchBatch | None:
        """The validation batch, with the teacher's features if the search wants them."""
        if batch is None:
            return None
        wanted = self.searcher.teacher_on_validation
        return self._read(batch, depth) if wanted else SearchBatch(batch)

    def _read(self, batch: Batch, depth: int | None) -> SearchBatch:
        """A batch with the teacher's features, up to a stage."""
        with self.precision.autocast():
            return SearchBatch(batch, self.teacher.read(batch.images, until=depth))


def run_search(job: Job[SearchRun]) -> PhaseResult:
    """Search from the start or from the checkpoint; the test split is out of reach here."""
    recipe, precision = job.spec.recipe, job.precision
    data = job.inputs.data(job.spec.data).training_only()
    searcher, teacher = build_search(job, data)
    loader, held = _loaders(job, data)
    state = TrainState(job.folder, job.spec.digest, {"search": searcher}, job.origin)
    state.load(precision.device, job.say)
    count_on_device([searcher], precision.device)
    step = SearchStep(searcher, teacher, held, recipe, loader.steps, precision)
    record_steps(step, state.parts, job.say)
    done = state.epoch * loader.steps + state.step
    tick = job.follow(recipe.epochs * loader.steps, done, state.curves)
    watch = reading.watch(job.say, job.spec.title, loader, recipe.batch)
    for means in fit(state, step, loader, recipe.epochs, job.stopper, tick, searcher.work, watch):
        state.log({"epoch": float(state.epoch), **means})
        if searcher.finished:
            break
    found = _finding(searcher)
    return _finish(job, state, found, loader, data) if ranks.is_first() else PhaseResult()


def record_steps(
    step: SearchStep, parts: Mapping[str, Stateful], say: Callable[[str], None]
) -> None:
    """Have the steps of a search recorded, where the device and the search let them.

    Args:
        step: of the search.
        parts: whatever the search changes, as a checkpoint has it.
        say: told in one line where they cannot be.
    """
    uncaptured = "several ranks exchange gradients at every step" if ranks.size() > 1 else ""
    uncaptured = uncaptured or step.searcher.uncaptured
    graph = replayed(step.compute, parts, step.precision.device, uncaptured, say)
    step.replayed = None if graph == step.compute else graph


def build_search(job: Job[SearchRun], data: Stored) -> tuple[Searcher, Teacher]:
    """The searcher on its student, fresh or with the teacher's weights, and the teacher.

    Args:
        job: the run.
        data: its prepared data set.
    """
    run, (upstream,) = job.spec, job.spec.teachers
    weights = job.inputs.folder(upstream) / teacher_weights(run)
    network = assemble.make_teacher_network(
        upstream, data, run.seed, job.inputs, job.precision, run.recipe
    )
    assemble.load_weights(network, weights)
    # Were it the seed alone, the first of the students would begin where the search did.
    own = derive(run.seed, "search")
    shape = Shape(data.classes, image_in_training(data, run.recipe))
    student = assemble.make_network(run.student, shape, own, job.precision).train()
    start_encoder(student, run.student, job.inputs.encoder(run.student))
    if run.search.start == "teacher":
        if View.load(weights.parent).as_dict():
            advice = "import it as the protocol looks at images, without constants or sizes"
            raise BadValue(upstream.title, "a view of its own", "a teacher to start from", advice)
        assemble.load_weights(student, weights)
    searcher = assemble.make_searcher(
        run.search, student, network, run.recipe, run.seed, job.precision, _base(job)
    )
    return searcher, Teacher(network, run.search.teacher_mode)


def _base(job: Job[SearchRun]) -> Finding | None:
    """What the base search found, if the run has one."""
    base = job.spec.base
    if base is None:
        return None
    finding_class = assemble.find_class(base.search)
    check_base(finding_class, base.search.module)
    finding: Finding = finding_class.load_finding(job.inputs.folder(base))
    return finding


def _loaders(job: Job[SearchRun], data: Stored) -> tuple[Loader, Loader | None]:
    """Batches of the training share and of the images held out.

    A data set that has a split for choices gives that, and all its training images are trained on;
    all but those that the run's students are measured on, if they are. No image held out has
    equal pixels with one that is trained on.
    """
    run = job.spec
    settings = (run.recipe, run.seed, job.precision)
    arguments = (data, "train", *settings)
    share, seen = run.search.validation_share, fitted(run, data)
    if not share:
        return assemble.make_loader(*arguments, index=seen), None
    if VALID in data.splits:
        digests = data.digests("train") if seen is None else data.digests("train")[seen]
        apart = without_twins(data.digests(VALID), digests)
        index = apart if len(apart) < len(data.labels(VALID)) else None
        held = assemble.make_loader(data, VALID, *settings, index=index, purpose="held")
        return assemble.make_loader(*arguments, index=seen), held
    seed = derive(run.seed, "held-out") % 2**32
    if seen is None:
        seen = np.arange(len(data.labels("train")))
    digests = data.together("train")[seen]
    fit_index, held_index = (seen[part] for part in splits.held_out(groups(digests), share, seed))
    loader = assemble.make_loader(*arguments, index=fit_index)
    return loader, assemble.make_loader(*arguments, index=held_index, purpose="held")


def _finding(searcher: Searcher) -> Finding:
    """What was found.

    Raises:
        Diverged: its numbers are not finite, though every mean loss was.
    """
    try:
        return searcher.finding()
    except BadValue as error:
        raise Diverged(f"what was found is unusable: {error}") from None


def _finish(
    job: Job[SearchRun], state: TrainState, finding: Finding, loader: Loader, data: Stored
) -> PhaseResult:
    finding.save(job.folder)
    steps = state.epoch * loader.steps
    images = state.epoch * min(len(loader), loader.steps * job.spec.recipe.batch)
    return PhaseResult(
        curves={name: thinned(values) for name, values in state.curves.items()},
        cost={
            "seconds": state.seconds,
            "wall_seconds": state.clock(),
            "steps": steps,
            "macs": state.macs,
            "images_per_second": images / max(state.seconds, 1e-9),
        },
        extra=finding.summary(),
        origins=state.origins,
        data_fingerprint=data.fingerprint,
    )
