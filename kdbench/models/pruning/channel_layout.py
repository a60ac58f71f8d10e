"""Who reads what in a network, and what is left of it when gates close.

A *reader* is the norm, convolution or linear layer at which a gate multiplies a channel; its name
is that module's. What closed gates leave is said by a `Plan`: which inputs and outputs every layer
with weights keeps. Operations are counted from the plan alone, without building anything.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from kdbench.errors import BadValue
from kdbench.models.stages import StagedNetwork

Mask = NDArray[np.bool_]
Strengths = Mapping[str, NDArray[Any]]  # by reader; how far every gate is open, 0 where closed
Sources = Mapping[str, list[tuple[str, int]]]  # by reader; who made its channels, and how many


class Cut(NamedTuple):
    """What one layer with weights keeps.

    Attributes:
        path: the layer's name in the network.
        reads: of its inputs.
        writes: of its outputs; a norm's are what it reads.
        source: which of its inputs arrive; `reads` are among them.
        area: pixels (H · W) of a map that it puts out; 1 for the classifier.
    """

    path: str
    reads: Mask
    writes: Mask
    source: Mask
    area: int


class Bypass(NamedTuple):
    """A block whose computed branch is gone, or whose identity passes on fewer channels.

    Attributes:
        path: the block's name.
        kind: "nothing" (a dense layer that is gone), "identity" (only the identity is left),
            "projection" (only the projecting shortcut is left) or "narrowing" (branch and
            identity are there).
        source: channels that arrive.
        needs: of these, the ones that are read later on.
    """

    path: str
    kind: str
    source: Mask
    needs: Mask


@dataclass
class Plan:
    """What is left of a network.

    Attributes:
        kept: by reader, the channels that it reads in the end. A gate may be open and its channel
            gone: where nothing comes from, nobody reads what follows, or no branch is left.
        cuts: of the layers that remain.
        bypasses: see `Bypass`.
        rectified: elements that ReLUs put out for one image.
    """

    kept: dict[str, Mask] = field(default_factory=dict)
    cuts: list[Cut] = field(default_factory=list)
    bypasses: list[Bypass] = field(default_factory=list)
    rectified: int = 0

    def norm(self, path: str, reads: Mask, source: Mask, area: int, *, relu: bool = True) -> None:
        """Note a batch norm, and the ReLU behind it."""
        self.cuts.append(Cut(path, reads, reads, source, area))
        self.rectified += int(reads.sum()) * area * relu

    def block(self, path: str, source: Mask, needs: Mask, *, alive: bool, projects: bool) -> None:
        """Note what becomes of a residual block.

        Args:
            path: the block's name.
            source: channels that arrive.
            needs: channels of its sum that are read later on.
            alive: whether its branch is left.
            projects: whether a convolution stands in its shortcut.
        """
        if not alive:
            kind = "projection" if projects else "identity"
            self.bypasses.append(Bypass(path, kind, source, needs))
        elif not projects and (source != needs).any():
            self.bypasses.append(Bypass(path, "narrowing", source, needs))

    def linear(
        self, path: str, reads: Mask, writes: Mask, area: int, source: Mask | None = None
    ) -> None:
        """Note a convolution or the classifier; without `source`, all that arrives is read."""
        self.cuts.append(Cut(path, reads, writes, reads if source is None else source, area))


LAYOUTS: dict[str, type["Layout"]] = {}  # by the family's name; see `build.layouts`


class Layout(ABC):
    """The readers of one network; a family says which, and how closed gates spread.

    A subclass names its `family`, and is thereby registered.

    Args:
        network: of the family; only its shape is looked at.

    Attributes:
        sources: who made the channels that a reader reads, in the network's order.
        areas: H · W of every stage, stem first.
    """

    family: ClassVar[type[StagedNetwork]]

    def __init_subclass__(cls) -> None:
        """Register the layout under its family's name."""
        LAYOUTS[cls.family.__name__] = cls

    def __init__(self, network: StagedNetwork) -> None:
        self.network = network
        self.areas = [height * width for height, width in (s.size for s in network.stages)]
        self.sources: Sources = self.find_sources()
        self._kernels = {
            name: module.weight[0, 0].numel()
            for name, module in network.named_modules()
            if isinstance(module, nn.Conv2d | nn.Linear)
        }

    @abstractmethod
    def find_sources(self) -> Sources:
        """See `sources`."""

    @abstractmethod
    def plan(self, strengths: Strengths) -> Plan:
        """What is left when gates are this far open.

        A reader that must not vanish, lest nothing reaches the classifier, keeps its widest gate
        (the first of several) though all are closed.
        """

    def projection_of(self, block: nn.Module) -> nn.Module:
        """What is left of a block whose branch is gone and whose shortcut projects.

        Only families whose plans have such a `Bypass` write it.

        Raises:
            BadValue: the family's plan has one and its layout lacks this method.
        """
        raise self._lacks("projection_of", "a block without its branch")

    def narrowed(self, block: nn.Module, skip: nn.Module) -> nn.Module:
        """A block whose identity passes on what `skip` takes of the channels that arrive.

        Only families whose plans have such a `Bypass` write it.

        Raises:
            BadValue: the family's plan has one and its layout lacks this method.
        """
        raise self._lacks("narrowed", "a block with a narrower identity")

    def _lacks(self, method: str, result: str) -> BadValue:
        layout = type(self)
        expected = f"a method `{method}`: its plan leaves {result}"
        return BadValue(layout.__module__, f"class {layout.__name__} without {method}", expected)

    @property
    def widths(self) -> dict[str, int]:
        """Number of channels by reader."""
        return {name: sum(n for _, n in makers) for name, makers in self.sources.items()}

    def open(self) -> dict[str, NDArray[Any]]:
        """All gates open."""
        return {name: np.ones(width) for name, width in self.widths.items()}

    def operations(self, plan: Plan) -> tuple[int, int]:
        """Multiply-adds, and elements of norms and ReLUs, of one image in the network left.

        The same two conventions as `kdbench.evaluate.cost`.
        """
        products, elements = 0, plan.rectified
        for path, reads, writes, _, area in plan.cuts:
            if path in self._kernels:
                products += int(reads.sum()) * int(writes.sum()) * self._kernels[path] * area
            else:
                elements += int(reads.sum()) * area
        return products, elements

    def savings(self, *, with_maker: bool) -> dict[str, NDArray[Any]]:
        """F: operations saved by closing one gate while all others are open, by reader.

        Counted with one for every element of norms and ReLUs. Channels of one reader and one maker
        save the same, so one of each is tried. 0 where a reader of one channel must keep it.

        Args:
            with_maker: whether what only this reader reads is saved too, because its maker need
                not make it. Else only what the reader's own layers save by reading less.

        Source: Gu & Tresp, ECAI 2020, which prints F without saying what else may go.
        """
        full = self.open()
        whole = self.plan(full)
        savings = {}
        for name, makers in self.sources.items():
            parts, start = [], 0
            for _, count in makers:
                gates = full[name].copy()
                gates[start] = 0
                left = self.plan({**full, name: gates})
                saved = self._saved if with_maker else self._saved_by_reader
                parts.append(np.full(count, saved(whole, left, name)))
                start += count
            savings[name] = np.concatenate(parts)
        return savings

    def _saved(self, whole: Plan, left: Plan, reader: str) -> int:
        """All operations that are not left."""
        return sum(self.operations(whole)) - sum(self.operations(left))

    def _saved_by_reader(self, whole: Plan, left: Plan, reader: str) -> int:
        """Operations saved by layers that read less; the reader's norm is followed by a ReLU."""
        reads_left = {cut.path: int(cut.reads.sum()) for cut in left.cuts}
        saved = 0
        for path, reads, writes, _, area in whole.cuts:
            fewer = int(reads.sum()) - reads_left.get(path, 0)
            if path in self._kernels:
                saved += fewer * int(writes.sum()) * self._kernels[path] * area
            elif path == reader:
                saved += 2 * fewer * area
        return saved


def reachable(strengths: NDArray[Any], arriving: Mask, *, must_read: bool = False) -> Mask:
    """Channels whose gate is open and that arrive at all; the widest if it must read one."""
    reads: Mask = (strengths != 0) & arriving
    if must_read and not reads.any():
        reads[np.where(arriving, np.abs(strengths), -1).argmax()] = True
    return reads


def every(width: int) -> Mask:
    """All of some channels."""
    return np.ones(width, bool)


def none(width: int) -> Mask:
    """No channel."""
    return np.zeros(width, bool)
