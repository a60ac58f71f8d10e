"""Whether everything that is planned can be built and run, tried on a few images of noise."""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from inspect import signature
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.aggregation import block_shapes
from kdbench.distill.joined import JoinedLosses
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision
from kdbench.engine.seeds import seeded
from kdbench.errors import UserError
from kdbench.exhibits.recipe import Recipe
from kdbench.models.pruning.build import build_pruned
from kdbench.models.stages import Features, Stage, StagedNetwork
from kdbench.plan.graph import Graph
from kdbench.runs import assemble
from kdbench.store.spec import RunSpec, canonical

IMAGES = 2
CPU = Precision("float32", False, torch.device("cpu"))
MIDDLE = TrainingPosition(step=5, steps=10, epoch=1, epochs=2)


def check(graph: Graph, say: Callable[[str], None]) -> list[str]:
    """Try every network, method and search of a plan once a pair, before any training.

    Networks are built for their data set's images and classes, losses and searches on them, and
    losses compare noise of their features' shapes, forwards and backwards. Nothing is written.

    Args:
        graph: the plan.
        say: told what was tried, a line a phase.

    Returns:
        A line for everything that cannot run: what, on which pair, and why.
    """
    trials = _Trials(graph)
    problems: list[str] = []
    counts = {"teacher": 0, "search": 0, "student": 0}
    for spec in _distinct(graph):
        counts[spec.phase] += 1
        try:
            trials.attempt(spec)
        except UserError as error:
            problems.append(f"{_name(spec)}: {error}")
        except Exception as error:  # a plug-in may fail in any way
            said = " ".join(str(error).split())[:200]
            problems.append(f"{_name(spec)}: cannot run: {type(error).__name__}: {said}")
    tried = ", ".join(f"{n} {phase}" for phase, n in counts.items() if n)
    say(f"tried once each: {tried} runs that differ in more than their seed")
    return problems


def _distinct(graph: Graph) -> Iterator[RunSpec]:
    """One run of each kind, dependencies first: seeds, recipes and data shares apart."""
    seen = set()
    for spec in graph.runs.values():
        if spec.phase in ("teacher", "search", "student"):
            keys = ("network", "teacher", "student", "method", "search")
            parts = {key: spec.params.get(key) for key in keys}
            key = canonical([spec.phase, spec.dataset, parts])
            if key not in seen:
                seen.add(key)
                yield spec


def _name(spec: RunSpec) -> str:
    """What a reader knows it by."""
    what = spec.params.get("method") or spec.params.get("search") or spec.params.get("network")
    if "teacher" not in spec.params:
        return f"{spec.dataset}, {what['name']}" if what else spec.cell
    pair = f"{spec.params['teacher']['name']}:{spec.params['student']['name']}"
    return f"{spec.dataset}, {pair}, {what['name']}"


@dataclass
class _Trials:
    """Networks and schemes that were built already, by name and data set."""

    graph: Graph
    networks: dict[str, StagedNetwork] = field(default_factory=dict)
    schemes: dict[str, Any] = field(default_factory=dict)

    def attempt(self, spec: RunSpec) -> None:
        """Build and run what one run needs."""
        if spec.phase == "teacher":
            self._network(spec, "network").stages  # noqa: B018 (measures every map)
        elif spec.phase == "search":
            self.schemes[spec.digest] = self._search(spec)
        else:
            self._student(spec)

    def _search(self, spec: RunSpec) -> Any:
        entry, recipe = spec.params["search"], Recipe.from_dict(spec.params["recipe"])
        student = deepcopy(self._network(spec, "student"))  # a search may put gates into it
        network = self._network(spec, "teacher")
        return assemble.make_searcher(entry, student, network, recipe, 0, CPU).blank()

    def _student(self, spec: RunSpec) -> None:
        batch = self._batch(spec.dataset)
        student = self._network(spec, "student")
        if "structure" in spec.upstream:
            image, classes = self._shape(spec.dataset)
            student = build_pruned(self._found(spec, "structure"), classes, image)
        network = self._network(spec, "teacher") if "teacher" in spec.params else None
        loss = self._loss(spec, student, network)
        ours = _noise("student", student, batch)
        theirs = None if network is None else _noise("teacher", network, batch)
        terms = dict(loss(ours, theirs, batch, MIDDLE))
        if hasattr(loss, "first"):
            looking = ours if loss.first.trains_trunk else None
            terms |= loss.first_terms(looking, theirs, batch, MIDDLE)
        for name, term in terms.items():
            if not torch.isfinite(term):
                raise UserError(f"its term {name!r} is {float(term.detach())} on noise")
        torch.stack([ours.logits.mean(), *terms.values()]).sum().backward()

    def _loss(self, spec: RunSpec, student: StagedNetwork, network: StagedNetwork | None) -> Any:
        made = []
        for role, part in assemble.parts_of(spec.params["method"]):
            extra: dict[str, Any] = {}
            if role in spec.upstream:
                extra["scheme"] = self._found(spec, role)
            if "labels" in signature(assemble.find_class(part)).parameters:
                extra["labels"] = torch.arange(2 * IMAGES) % self._shape(spec.dataset)[1]
            loss, _ = assemble.make_loss(part, student, network, 0, CPU, **extra)
            made.append((part["name"], loss))
        return made[0][1] if len(made) == 1 else JoinedLosses(made)

    def _found(self, spec: RunSpec, role: str) -> Any:
        """What the search of that role finds, before any step."""
        found = self.schemes.get(spec.upstream[role].digest)
        if found is None:
            raise UserError("its search cannot run")
        return found

    def _network(self, spec: RunSpec, role: str) -> StagedNetwork:
        """A network as it is before training."""
        entry: Mapping[str, Any] = spec.params[role]
        key = canonical([spec.dataset, entry["name"], entry["parameters"]])
        if key not in self.networks:
            image, classes = self._shape(spec.dataset)
            data: Any = SimpleNamespace(image=image, classes=range(classes))
            self.networks[key] = assemble.make_network(entry, data, 0, CPU)
        return self.networks[key]

    def _shape(self, dataset: str) -> tuple[tuple[int, int, int], int]:
        """(C, H, W) and number of classes of what a data set is at this scale."""
        get = self.graph.components.get
        declared = get("dataset", dataset, where="check").described
        if self.graph.scale.stand_in:
            declared = get("dataset", declared["smoke"]["stand_in"], where="check").described
        channels, height, width = declared["image"]
        return (channels, height, width), declared["classes"]

    def _batch(self, dataset: str) -> Batch:
        image, classes = self._shape(dataset)
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(IMAGES, *image, generator=generator).requires_grad_()
        return Batch(images, torch.arange(IMAGES) % classes, torch.arange(IMAGES))


def _noise(role: str, network: StagedNetwork, batch: Batch) -> Features:
    """Features of a network's shapes, the same whenever this is asked.

    The logits depend on the images, as real ones do.
    """
    with seeded(0, "noise", role):
        return _features(network, batch)


def _features(network: StagedNetwork, batch: Batch) -> Features:
    maps = [[_drawn(stage) for stage in network.stages] for _ in range(3)]
    blocks = [[_drawn(shape) for shape in shapes] for shapes in block_shapes(network)]
    classes = network.classifier.out_features
    pixels = batch.images.flatten(1)
    logits = (pixels @ torch.randn(pixels.shape[1], classes) / pixels.shape[1] ** 0.5).tanh()
    pooled = torch.randn(IMAGES, network.pooled_width).requires_grad_()
    return Features(logits, *maps, blocks, pooled)


def _drawn(shape: Stage) -> Tensor:
    return torch.randn(IMAGES, shape.channels, *shape.size).requires_grad_()
