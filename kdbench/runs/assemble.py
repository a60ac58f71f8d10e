"""A run specification becomes live objects: the one file that knows all packages."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from kdbench.data.loaders import order
from kdbench.data.loaders.augment import Augment
from kdbench.data.loaders.in_memory import InMemoryLoader
from kdbench.data.loaders.mapped import MappedLoader, image_in_training
from kdbench.data.loaders.streaming import StreamingLoader
from kdbench.data.stored.maps import Mapped
from kdbench.data.stored.open import Stored
from kdbench.data.stored.shards import Sharded
from kdbench.distill.joined import FeaturesByMode, JoinedLosses, Part
from kdbench.distill.loss import DistillationLoss, check_hooks, loss_class
from kdbench.distill.several_teachers import FeaturesOfTeachers, PerTeacher
from kdbench.engine import ranks
from kdbench.engine.precision import Precision
from kdbench.engine.seeds import derive, seeded
from kdbench.errors import BadValue, DamagedData
from kdbench.exhibits.recipe import Recipe
from kdbench.models.pruning.build import build_pruned
from kdbench.models.pruning.structure import Structure
from kdbench.models.stages import Features, StagedNetwork
from kdbench.models.view import Shape, View, look
from kdbench.plan.plugins import load_class
from kdbench.runs.job import Inputs
from kdbench.search.searcher import Finding, Searcher, searcher_class
from kdbench.store.parts import Method, Network, SearchMethod
from kdbench.store.student_runs import MeasuredRun, SearchRun, StudentRun
from kdbench.store.teacher_runs import AnyTeacher, ImportedTeacher

Loader: TypeAlias = InMemoryLoader | StreamingLoader | MappedLoader


class ImageShape(Protocol):
    """What a network must know of its images."""

    @property
    def classes(self) -> Sequence[str]:
        """One name per class."""

    @property
    def image(self) -> tuple[int, int, int]:
        """(C, H, W)."""


class Located(Protocol):
    """A component of the plan or of a run specification: both say where the code lies."""

    @property
    def module(self) -> str:
        """A dotted name, or the path of a .py file."""

    @property
    def class_name(self) -> str:
        """The class in it."""


def drawn_by(code: Located) -> tuple[str, str]:
    """What a loss or a search draws its parameters by, beside the run's seed: module and class.

    Not its name, so that methods of the same arithmetic have the same bits; nor the folder of its
    module, which differs between machines.
    """
    plugin = code.module.endswith(".py")
    module = Path(code.module).stem if plugin else code.module.rpartition(".")[2]
    return module, code.class_name


def find_class(component: Located) -> type[Any]:
    """The class of a component.

    Raises:
        BadValue: a plug-in without that class, or whose code fails when it is imported.
    """
    return load_class(component.module, component.class_name)


def find_loss(method: Located) -> type[DistillationLoss]:
    """The class of a method's loss; a plain module gets the hooks' defaults.

    Raises:
        BadValue: see `find_class` and `loss_class`.
    """
    return loss_class(find_class(method), method.module)


def make_network(
    network: Network, data: ImageShape, seed: int, precision: Precision
) -> StagedNetwork:
    """A network for a data set's images and classes, initialised from its own seed."""
    with seeded(seed, "network", network.name):
        shape = {"classes": len(data.classes), "image": data.image}
        built: StagedNetwork = find_class(network)(**network.parameters, **shape)
    return precision.place(built)


def make_viewing_network(
    network: Network,
    data: Stored,
    seed: int,
    precision: Precision,
    *,
    view: View,
    recipe: Recipe,
) -> StagedNetwork:
    """A network that sees images as its view says, made for the size of the view's crop.

    Images will come normalised with the recipe's constants, if it has any, else the data set's.
    """
    shape = Shape(data.classes, view.image(image_in_training(data, recipe)))
    built = make_network(network, shape, seed, precision)
    look(built, view, recipe.mean or data.mean, recipe.std or data.std)
    return built


def make_teacher_network(
    run: AnyTeacher, data: Stored, seed: int, inputs: Inputs, precision: Precision, recipe: Recipe
) -> StagedNetwork:
    """The network of a teacher's run, which looks at images as an imported one wants them.

    Args:
        run: trained here or imported.
        data: gives classes, size and constants.
        seed: of the weights, until others are loaded.
        inputs: gives the view of an imported teacher.
        precision: number format and device.
        recipe: with whose constants the images will be normalised, if it has any.
    """
    view = View.load(inputs.folder(run)) if isinstance(run, ImportedTeacher) else View()
    return make_viewing_network(run.network, data, seed, precision, view=view, recipe=recipe)


def trained_network(
    run: MeasuredRun, data: Stored, seed: int, inputs: Inputs, precision: Precision
) -> StagedNetwork:
    """The network that a teacher's or student's run trains, with fresh weights.

    Args:
        run: whose network.
        data: gives classes and image.
        seed: of the weights.
        inputs: gives the structure of a pruned student.
        precision: number format and device.
    """
    if isinstance(run, ImportedTeacher):
        return make_teacher_network(run, data, seed, inputs, precision, run.recipe)
    if run.structure is None:
        shape = Shape(data.classes, image_in_training(data, run.recipe))
        return make_network(run.trained, shape, seed, precision)
    find_class(run.trained)  # a plug-in's module registers how its family is pruned
    structure = Structure.load(inputs.folder(run.structure))
    with seeded(seed, "network", run.trained.name):
        network = build_pruned(structure, len(data.classes), data.image)
    return precision.place(network)


def load_weights(network: nn.Module, file: Path) -> None:
    """Fill a network from a safetensors file.

    Raises:
        DamagedData: the file is unreadable or belongs to another network.
    """
    try:
        network.load_state_dict(load_file(file))
    except (SafetensorError, RuntimeError, OSError) as error:
        first = " ".join(str(error).split())[:200]
        advice = "delete its folder; the next run pulls or rebuilds it"
        raise DamagedData(file, first, "the network's weights", advice) from None


class Teacher:
    """A trained network that only looks: no graph, no change, once a batch and mode.

    Args:
        network: the trained network.
        mode: "eval" for running statistics, "batch" for each batch's own.
        others: further modes, of losses that are joined with one of the first.
    """

    def __init__(self, network: StagedNetwork, mode: str, *others: str) -> None:
        self.modes = tuple(dict.fromkeys((mode, *others)))
        for one in self.modes:
            if one not in ("eval", "batch"):
                raise BadValue("teacher_bn", one, "'eval' or 'batch'")
        self.network = network.requires_grad_(False).eval()  # no dropout in either mode
        norms = nn.modules.batchnorm._BatchNorm
        self._norms = [module for module in network.modules() if isinstance(module, norms)]
        if "batch" in self.modes:
            for norm in self._norms:
                norm.track_running_stats = False  # its own statistics stay as trained
        self._normalise(mode)

    def read(self, images: Tensor, *, graph: bool = False, until: int | None = None) -> Features:
        """Features of a batch; with `graph`, differentiable in the images (never in a weight).

        Of several modes, the first one's, with the others' as `FeaturesByMode`: a pass each. With
        `until`, those up to a stage alone, see `StagedNetwork.read`.
        """
        with torch.set_grad_enabled(graph):
            if len(self.modes) == 1:
                return self.network.read(images, until)
            by_mode = {}
            for mode in self.modes:
                self._normalise(mode)
                by_mode[mode] = self.network.read(images, until)
            return FeaturesByMode.of(by_mode)

    def _normalise(self, mode: str) -> None:
        """Have the norms take each batch's statistics, or the running ones."""
        for norm in self._norms:
            norm.train(mode == "batch")


class Teachers(Teacher):
    """Several trained networks that look at the same images.

    Args:
        networks: at least one.
        mode, others: as for `Teacher`.
    """

    def __init__(self, networks: Sequence[StagedNetwork], mode: str, *others: str) -> None:
        super().__init__(networks[0], mode, *others)
        self._each = [Teacher(network, mode, *others) for network in networks]

    def read(self, images: Tensor, *, graph: bool = False, until: int | None = None) -> Features:
        """The features of each, as `FeaturesOfTeachers`."""
        looks = (each.read(images, graph=graph, until=until) for each in self._each)
        return FeaturesOfTeachers.of(list(looks))


def make_teacher(networks: Sequence[StagedNetwork], mode: str, *others: str) -> Teacher | None:
    """What looks at the images of a student's training; None without a teacher."""
    if len(networks) > 1:
        return Teachers(networks, mode, *others)
    return Teacher(networks[0], mode, *others) if networks else None


def make_loss(
    method: Method,
    student: StagedNetwork,
    teacher: StagedNetwork | None,
    seed: int,
    precision: Precision,
    *place: int,
    **extra: Any,
) -> tuple[DistillationLoss, float]:
    """A distillation loss with its connectors, and the weight of the task's cross-entropy.

    `place` tells the losses of further teachers from the first's, whose connectors have others.

    Raises:
        BadValue: see `find_loss` and `check_hooks`.
    """
    parameters = dict(method.parameters)
    task_weight = float(parameters.pop("task_weight", 1.0))
    with seeded(seed, "loss", *drawn_by(method), *place):
        cls: Any = find_loss(method)
        loss: DistillationLoss = cls(student, teacher, **parameters, **extra)
    check_hooks(loss, method.module)
    return precision.place(loss), task_weight


def make_student_loss(
    run: StudentRun,
    student: StagedNetwork,
    teacher: StagedNetwork | None,
    seed: int,
    precision: Precision,
    *,
    scheme: Callable[[SearchRun], Any],
    labels: Callable[[], Tensor],
    further: Sequence[StagedNetwork] = (),
) -> tuple[DistillationLoss, float]:
    """The loss of a student's run, one or the sum of several, and the cross-entropy's weight.

    Args:
        run: names the method, or the methods whose losses are added.
        student: the network that learns.
        teacher: None where no method of the run needs one.
        seed: of the connectors.
        precision: number format and device.
        scheme: gives what a search found.
        labels: gives the training labels (N,), for losses that have a memory by class.
        further: teachers beside the first; a loss that does not read several itself is then the
            mean of one loss per teacher.
    """
    losses: list[tuple[DistillationLoss, float]] = []
    methods = run.method.losses
    for method, search in zip(methods, run.schemes or [None] * len(methods), strict=True):
        extra: dict[str, Any] = {"scheme": scheme(search)} if search else {}
        if find_loss(method).takes_labels():
            extra["labels"] = labels()
        loss, weight = make_loss(method, student, teacher, seed, precision, **extra)
        if further and not loss.reads_several:
            others = [
                make_loss(method, student, other, seed, precision, place, **extra)[0]
                for place, other in enumerate(further, 1)
            ]
            loss = PerTeacher([loss, *others], method.name)
        losses.append((loss, weight))
    if len(losses) == 1:
        return losses[0]
    parts = [
        Part(method.name, loss, method.teacher_mode)
        for method, (loss, _) in zip(methods, losses, strict=True)
    ]
    return JoinedLosses(parts), float(run.method.parameters["task_weight"])


def make_searcher(
    search: SearchMethod,
    student: StagedNetwork,
    teacher: StagedNetwork,
    recipe: Recipe,
    seed: int,
    precision: Precision,
    base: Finding | None = None,
) -> Searcher:
    """A search on a student in train mode, with what it trains beside it on the device.

    `base` is what the base search found, for searches that have one.

    Raises:
        BadValue: a plug-in's class is not a `Searcher`, or the recipe's optimiser is not SGD, on
            whose step the gradients of searches rest.
    """
    if recipe.optimiser != "sgd":
        raise BadValue(f"{search.name}, optimiser", recipe.optimiser, "'sgd' for a search")
    cls = searcher_class(find_class(search), search.module)
    # `held_out` is the validation share, which the phase splits off.
    settings = {key: v for key, v in search.parameters.items() if key != "held_out"}
    if base is not None:
        settings["base"] = base
    with seeded(seed, "search", *drawn_by(search)):
        searcher: Searcher = cls(
            student,
            teacher,
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            weight_decay=recipe.weight_decay,
            autocast=precision.autocast,
            **settings,
        )
    precision.place(searcher.connectors)
    return searcher


def make_loader(
    data: Stored,
    split: str,
    recipe: Recipe,
    seed: int,
    precision: Precision,
    *,
    index: Any = None,
    purpose: str = "train",
) -> Loader:
    """A loader of one split, or of some positions in it, as the recipe says.

    Pixels are kept on the device; encoded images and images with maps come there batch by batch. Of
    several ranks at work, each gets its part of every batch.

    Raises:
        UnknownName: an augmentation that is not made for images of this form.
    """
    training = purpose != "test"
    augment = recipe.augment if training else recipe.view or "none"
    settings: dict[str, Any] = {
        "batch": recipe.batch,
        "mean": recipe.mean or data.mean,
        "std": recipe.std or data.std,
        "seed": derive(seed, purpose),
        "device": precision.device,
        "memory_format": precision.memory_format,
        "steps_per_epoch": recipe.steps_per_epoch if training else None,
        "index": index,
        "part": order.Part(ranks.at_work().rank, ranks.size()),
    }
    if isinstance(data, Mapped):
        return MappedLoader(data, split, augment=augment, modality=recipe.modality, **settings)
    labels = data.labels(split)
    if isinstance(data, Sharded):
        settings |= {"image": data.image, "augment": augment, "decode": precision.decode}
        return StreamingLoader(data.encoded(split), labels, **settings)
    return InMemoryLoader(data.images(split), labels, augment=Augment.parse(augment), **settings)
