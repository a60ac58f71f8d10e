"""Whether everything that is planned can be built and run, tried on a few images of noise."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.data.loaders.modality import Modality
from kdbench.distill.aggregation import block_shapes
from kdbench.distill.loss import DistillationLoss
from kdbench.distill.several_teachers import FeaturesOfTeachers
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision
from kdbench.engine.seeds import seeded
from kdbench.errors import BadValue, UnknownName, UserError
from kdbench.exhibits.tasks import CLASSIFICATION, DEPTH, outputs
from kdbench.models.pruning.build import build_pruned
from kdbench.models.stages import Features, Stage, StagedNetwork
from kdbench.models.view import Shape, View
from kdbench.plan.graph import Graph
from kdbench.plan.tasks import task_of
from kdbench.runs import assemble
from kdbench.runs.estimate.lengths import data_size, short_epochs
from kdbench.runs.imported import read_imported
from kdbench.runs.loss_contract import check_keywords, checked_terms, reaches_student
from kdbench.search.searcher import check_base
from kdbench.store.canonical import canonical
from kdbench.store.parts import Code, Network
from kdbench.store.paths import Paths
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import SearchRun, StudentRun, TaughtRun
from kdbench.store.teacher_runs import AnyTeacher, ImportedTeacher

IMAGES = 2
PROJECT = Paths()
PROTOCOL = View()
GIGABYTE = 10**9
LARGE = GIGABYTE  # bytes of a loss's memory from which on a reader should know
SMALL = (64, 96)  # (H, W) of images with maps
CPU = Precision("float32", False, torch.device("cpu"))
MIDDLE = TrainingPosition(step=5, steps=10, epoch=1, epochs=2)


def check(
    graph: Graph,
    say: Callable[[str], None],
    *,
    paths: Paths = PROJECT,
    names: Sequence[str] = (),
    start_bar: Callable[[str, int, int], Callable[[], None]] | None = None,
) -> list[str]:
    """Try every network, method and search of a plan once per pair, before any training.

    Networks are built for their data set's images and classes, losses and searches on them, and
    losses compare noise of their features' shapes, forwards and backwards. Nothing is written.

    Args:
        graph: the plan.
        say: told what was tried, one line per phase, and what needs much memory, a line each.
        paths: of the project, where imported teachers lie.
        names: methods, searches, networks, data sets or pairs; runs with one of them are tried.
        start_bar: shows how far it is; see `console.start_bar`.

    Returns:
        A line for everything that cannot run: what, on which pair, and why.

    Raises:
        UnknownName: a name that no planned run has.
    """
    distinct = list(_distinct(graph))
    runs = _named(distinct, names)
    tick = start_bar("check", len(runs), 0) if start_bar else None
    trials = _Trials(graph, paths)
    problems: list[str] = []
    counts = {"teacher": 0, "search": 0, "student": 0}
    for run in runs:
        counts[run.phase] += 1
        try:
            trials.attempt(run)
        except UserError as error:
            problems.append(f"{_name(run)}: {error}")
        except Exception as error:  # a plug-in may fail in any way
            reason = " ".join(str(error).split())[:200]
            place = _place_in_plugin(run, error)
            problems.append(f"{_name(run)}: cannot run: {type(error).__name__}: {reason}{place}")
        if tick:
            tick()
    for line in [*trials.notes, *short_epochs(_planned(graph, runs), graph.components, paths)]:
        say(line)
    tried = ", ".join(f"{n} {phase}" for phase, n in counts.items() if n)
    say(f"tried once each: {tried} runs that differ in more than their seed")
    return problems


def _planned(graph: Graph, tried: Sequence["Tried"]) -> list[RunSpec]:
    """All runs that were tried as one of these: they may differ in share and length."""
    keys = {_key(run) for run in tried}
    return [run for run in graph.runs.values() if isinstance(run, Tried) and _key(run) in keys]


Tried: TypeAlias = AnyTeacher | SearchRun | StudentRun


def _distinct(graph: Graph) -> Iterator[Tried]:
    """One run of each kind, dependencies first: seeds, recipes and data shares apart."""
    seen = set()
    for run in graph.runs.values():
        if isinstance(run, Tried):
            key = _key(run)
            if key not in seen:
                seen.add(key)
                yield run


def _named(runs: Sequence[Tried], names: Sequence[str]) -> list[Tried]:
    """The runs that have one of the names, with the searches that these need."""
    labels = {run.digest: _labels(run) for run in runs}
    for name in names:
        known = set().union(*labels.values())
        if name not in known:
            raise UnknownName("part of the plan", name, known, where="check")
    if not names:
        return list(runs)
    chosen = [run for run in runs if labels[run.digest] & {*names}]
    needed = {_key(one) for run in chosen for one in run.with_upstream() if isinstance(one, Tried)}
    return [run for run in runs if _key(run) in needed]


def _labels(run: Tried) -> set[str]:
    """What a user may call a run by."""
    labels = {run.dataset, *(part.name for part in _parts(run))}
    if isinstance(run, StudentRun):
        labels |= {method.name for method in run.method.losses}
    if isinstance(run, TaughtRun) and run.teacher:
        labels.add(f"{run.teacher.network.name}:{run.student.name}")
    return labels


def _key(run: Tried) -> str:
    """The same for runs that differ in seed, recipe or share of the data alone."""
    imported = [o.checkpoint for o in run.with_upstream() if isinstance(o, ImportedTeacher)]
    parts = [part.identity() for part in _parts(run)]
    return canonical([run.phase, run.dataset, *parts, *imported])


def _parts(run: Tried) -> list[Code]:
    """The components that a run combines, what is trained or searched with first."""
    if isinstance(run, SearchRun):
        return [run.search, run.student, *(teacher.network for teacher in run.teachers)]
    if isinstance(run, StudentRun):
        return [run.method, run.student, *(teacher.network for teacher in run.teachers)]
    return [run.network]


def _name(run: Tried) -> str:
    """What a reader knows it by."""
    what = _parts(run)[0].name
    if isinstance(run, TaughtRun) and run.teacher:
        return f"{run.dataset}, {run.teacher.network.name}:{run.student.name}, {what}"
    return f"{run.dataset}, {what}"


@dataclass
class _Trials:
    """Networks and schemes that were built already, by name and data set.

    Attributes:
        graph: the plan.
        paths: of the project.
        networks, schemes: what was built.
        notes: a line for every loss that needs much memory, or from which no student learns.
    """

    graph: Graph
    paths: Paths
    networks: dict[str, StagedNetwork] = field(default_factory=dict)
    schemes: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def attempt(self, run: Tried) -> None:
        """Build and run what one run needs."""
        if isinstance(run, SearchRun):
            self.schemes[run.digest] = self._search(run)
        elif isinstance(run, StudentRun):
            self._student(run)
        else:
            self._teacher(run).stages  # noqa: B018 (measures every map)

    def _search(self, run: SearchRun) -> Any:
        student = deepcopy(self._network(run, run.student))  # a search may put gates in
        (teacher,) = run.teachers
        network = self._teacher(teacher)
        base = self._finding(run.base) if run.base else None
        if run.base:
            check_base(assemble.find_class(run.base.search), run.base.search.module)
        searcher = assemble.make_searcher(run.search, student, network, run.recipe, 0, CPU, base)
        return searcher.blank()

    def _student(self, run: StudentRun) -> None:
        batch = self._batch(run)
        student = self._network(run, run.student)
        image, classes = self._shape(run)
        if run.structure:
            student = build_pruned(self._finding(run.structure), classes, image)
        networks = [self._teacher(teacher) for teacher in run.teachers]
        for method in run.method.losses:
            check_keywords(method, self.graph)
        loss: Any
        loss, _ = assemble.make_student_loss(
            run,
            student,
            networks[0] if networks else None,
            0,
            CPU,
            further=networks[1:],
            scheme=self._finding,
            labels=lambda: torch.arange(2 * IMAGES) % classes,
        )
        self._note_memory(run, loss)
        ours = _noise("student", student, batch)
        theirs = _noise_of_teachers(networks, batch)
        where = run.method.module
        terms = checked_terms(f"{where}, forward", loss(ours, theirs, batch, MIDDLE))
        if loss.first is not None:
            looking = ours if loss.first.trains_trunk else None
            first = loss.first_terms(looking, theirs, batch, MIDDLE)
            terms |= checked_terms(f"{where}, first_terms", first)
        elif terms and not reaches_student(ours, terms):
            line = "no gradient of its terms reaches the student, which learns nothing from them"
            self.notes.append(f"{_name(run)}: {line}; is a tensor detached?")
        torch.stack([ours.logits.mean(), *terms.values()]).sum().backward()

    def _finding(self, search: SearchRun) -> Any:
        """What a search finds, before any step."""
        finding = self.schemes.get(search.digest)
        if finding is None:
            raise UserError("its search cannot run")
        return finding

    def _note_memory(self, run: StudentRun, loss: DistillationLoss) -> None:
        """Note what a loss holds that grows with the training set, where that is much."""
        try:
            images = data_size(run.data, self.graph.components, self.paths).counts["train"]
        except BadValue:  # a plug-in's data set that does not say how large it is
            return
        size = loss.bytes_held(images, run.recipe.batch)
        if size >= LARGE:
            self.notes.append(
                f"{_name(run)}: its memory of {images:,} training images, with batches of "
                f"{run.recipe.batch}, needs {size:,} bytes ({size / GIGABYTE:.1f} GB) beside the "
                "networks"
            )

    def _teacher(self, run: AnyTeacher) -> StagedNetwork:
        """A teacher's network for the images as it looks at them."""
        view = PROTOCOL
        if isinstance(run, ImportedTeacher) and self.paths.checkpoint(run.checkpoint).is_file():
            view = View.from_dict(read_imported(run, self.paths).view)
        return self._network(run, run.network, view)

    def _network(self, run: Tried, network: Network, view: View = PROTOCOL) -> StagedNetwork:
        """A network as it is before training."""
        image, classes = self._shape(run)
        seen = view.image(image)
        key = canonical([run.dataset, network.identity(), list(seen)])
        if key not in self.networks:
            data = Shape([str(number) for number in range(classes)], seen)
            self.networks[key] = assemble.make_network(network, data, 0, CPU)
        return self.networks[key]

    def _shape(self, run: Tried) -> tuple[tuple[int, int, int], int]:
        """(C, H, W) and number of outputs of what a run's data set is at this scale."""
        get = self.graph.components.get
        declared = get("dataset", run.dataset, where="check").described
        task = declared.get("task", CLASSIFICATION)
        if self.graph.scale.stand_in:
            declared = get("dataset", declared["smoke"]["stand_in"], where="check").described
        channels, height, width = declared["image"]
        if task != CLASSIFICATION:  # losses on maps fit any size; large ones would take long
            height, width = SMALL
            channels = Modality.parse(run.recipe.modality).channels(channels)
        return (channels, height, width), outputs(task, declared["classes"])

    def _batch(self, run: Tried) -> Batch:
        image, classes = self._shape(run)
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(IMAGES, *image, generator=generator).requires_grad_()
        numbers = torch.arange(IMAGES)
        task = task_of(self.graph.components.get("dataset", run.dataset, where="check"))
        if task == CLASSIFICATION:
            return Batch(images, numbers % classes, numbers)
        pixels = torch.arange(images[:, 0].numel()).view_as(images[:, 0])
        if task == DEPTH:  # some without a measurement
            return Batch(images, (pixels % 10).float(), numbers)
        return Batch(images, pixels % classes, numbers)


def _place_in_plugin(run: Tried, error: Exception) -> str:
    """File and line of a plug-in's code that raised an error, in brackets; "" where none did."""
    parts = [*_parts(run), *(run.method.losses if isinstance(run, StudentRun) else ())]
    files = {Path(part.module).resolve(): part.module for part in parts}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if module := files.get(Path(frame.filename).resolve()):
            return f" ({module}, line {frame.lineno})"
    return ""


def _noise(role: str, network: StagedNetwork, batch: Batch) -> Features:
    """Features of a network's shapes, the same whenever this is asked.

    The logits depend on the images, as real ones do.
    """
    with seeded(0, "noise", role):
        return _features(network, batch)


def _noise_of_teachers(networks: list[StagedNetwork], batch: Batch) -> Features | None:
    """Noise of one teacher or of several; None for none."""
    each = [_noise("teacher", network, batch) for network in networks]
    return FeaturesOfTeachers.of(each) if len(each) > 1 else next(iter(each), None)


def _features(network: StagedNetwork, batch: Batch) -> Features:
    pre, post, out = ([_drawn(stage) for stage in network.stages] for _ in range(3))
    blocks = [[_drawn(shape) for shape in shapes] for shapes in block_shapes(network)]
    classes = network.classifier.out_features
    if network.task == CLASSIFICATION:
        pixels = batch.images.flatten(1)
        logits = (pixels @ torch.randn(pixels.shape[1], classes) / pixels.shape[1] ** 0.5).tanh()
    else:
        logits = F.conv2d(batch.images, torch.randn(classes, batch.images.shape[1], 1, 1))
    pooled = torch.randn(IMAGES, network.pooled_width).requires_grad_()
    return Features(logits, pre, post, out, blocks, pooled)


def _drawn(shape: Stage) -> Tensor:
    return torch.randn(IMAGES, shape.channels, *shape.size).requires_grad_()
