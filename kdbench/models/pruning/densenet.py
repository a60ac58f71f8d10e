"""What closed gates leave of a DenseNet."""

from typing import NamedTuple, cast

from torch import nn

from kdbench.models.families.densenet import BottleneckLayer, DenseLayer, DenseNet
from kdbench.models.pruning.channel_layout import (
    Bypass,
    Layout,
    Mask,
    Plan,
    Sources,
    Strengths,
    every,
    none,
    reachable,
)

Layer = DenseLayer | BottleneckLayer
STAGES = (1, 2, 3)


class PrunedBlock(NamedTuple):
    """One dense block as its gates leave it.

    Attributes:
        reads: by layer, of the running concatenation before it; nothing in a layer that is gone.
        inner: by layer, of the maps between its two convolutions; None without bottlenecks.
        norm: what the norm that ends the block reads.
        needs: channels of the whole concatenation that anyone reads.
    """

    reads: list[Mask]
    inner: list[Mask | None]
    norm: Mask
    needs: Mask


class DenseNetLayout(Layout):
    """Gates after every norm of a DenseNet: layers, transitions and classifier read through them.

    A layer goes when it reads nothing, when nothing is left between its convolutions, or when no
    one reads what it makes; what it would have made is closed for all later layers. The norm that
    ends a dense block must read something, so that the transition and the classifier do.
    """

    family = DenseNet
    network: DenseNet

    def find_sources(self) -> Sources:
        """Channels of the concatenation by the layer that made them."""
        sources: dict[str, list[tuple[str, int]]] = {}
        for stage, (base, growth, layers) in enumerate(self._blocks(), 1):
            place = f"trunk.stage{stage}"
            entry = "trunk.stem.blocks.0" if stage == 1 else f"{place}.entry.0"
            makers = [(entry, base)]
            for i, layer in enumerate(layers):
                path = f"{place}.blocks.{i}"
                sources[f"{path}.norm1"] = list(makers)
                if isinstance(layer, BottleneckLayer):
                    sources[f"{path}.norm2"] = [(f"{path}.conv1", layer.conv1.out_channels)]
                makers.append((path, growth))
            sources[f"{place}.norm"] = makers
        return sources

    def plan(self, strengths: Strengths) -> Plan:
        """See `Layout`."""
        plan = Plan()
        blocks = [self._prune_block(stage, strengths) for stage in STAGES]
        stem = cast("nn.Conv2d", self.network.segments[0].blocks[0])
        (base, _, _), *_ = self._blocks()
        arriving = every(stem.in_channels)
        plan.linear("trunk.stem.blocks.0", arriving, blocks[0].needs[:base], self.areas[0])
        for stage, block in zip(STAGES, blocks, strict=True):
            self._plan_block(plan, stage, block)
            if stage < len(blocks):
                base = self._blocks()[stage][0]
                entry = f"trunk.stage{stage + 1}.entry.0"
                plan.linear(entry, block.norm, blocks[stage].needs[:base], self.areas[stage])
        classes = every(self.network.classifier.out_features)
        plan.linear("classifier", blocks[-1].norm, classes, 1)
        return plan

    def _blocks(self) -> list[tuple[int, int, list[Layer]]]:
        """Channels that enter, growth and layers of every dense block."""
        blocks = []
        for stage in STAGES:
            layers = cast("list[Layer]", list(self.network.segments[stage].blocks))
            first = layers[0]
            last = first.conv2 if isinstance(first, BottleneckLayer) else first.conv1
            blocks.append((first.norm1.num_features, last.out_channels, layers))
        return blocks

    def _prune_block(self, stage: int, strengths: Strengths) -> PrunedBlock:
        base, growth, layers = self._blocks()[stage - 1]
        place = f"trunk.stage{stage}"
        arriving = every(base + growth * len(layers))
        reads, inner = [], []
        for i in range(len(layers)):  # forwards: what comes from nowhere cannot be read
            path, before = f"{place}.blocks.{i}", base + growth * i
            mask = reachable(strengths[f"{path}.norm1"], arriving[:before])
            gates = strengths.get(f"{path}.norm2")
            between = None if gates is None else gates != 0
            if not mask.any() or (between is not None and not between.any()):
                arriving[before : before + growth] = False
            reads.append(mask)
            inner.append(between)
        norm = reachable(strengths[f"{place}.norm"], arriving, must_read=True)
        needs = norm.copy()
        for i in reversed(range(len(layers))):  # backwards: what nobody reads need not be made
            before = base + growth * i
            own = slice(before, before + growth)
            if needs[own].any():  # what does not arrive is not needed
                needs[:before] |= reads[i]
            else:
                reads[i] = none(before)
                between = inner[i]
                inner[i] = None if between is None else none(len(between))
        return PrunedBlock(reads, inner, norm, needs)

    def _plan_block(self, plan: Plan, stage: int, block: PrunedBlock) -> None:
        base, growth, _ = self._blocks()[stage - 1]
        place, area = f"trunk.stage{stage}", self.areas[stage]
        for i, (reads, between) in enumerate(zip(block.reads, block.inner, strict=True)):
            path, before = f"{place}.blocks.{i}", base + growth * i
            plan.kept[f"{path}.norm1"] = reads
            if between is not None:
                plan.kept[f"{path}.norm2"] = between
            running = block.needs[:before]
            if not reads.any():
                plan.bypasses.append(Bypass(path, "nothing", running, running))
                continue
            makes = block.needs[before : before + growth]
            plan.norm(f"{path}.norm1", reads, running, area)
            plan.linear(f"{path}.conv1", reads, makes if between is None else between, area)
            if between is not None:
                plan.norm(f"{path}.norm2", between, between, area)
                plan.linear(f"{path}.conv2", between, makes, area)
        plan.kept[f"{place}.norm"] = block.norm
        plan.norm(f"{place}.norm", block.norm, block.needs, area)
