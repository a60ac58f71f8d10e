"""What closed gates leave of a wide ResNet."""

from typing import cast

from torch import Tensor, nn
from torch.nn.functional import relu

from kdbench.models.families.wide_resnet import PreActivationBlock, WideResNet
from kdbench.models.pruning.channel_layout import (
    Layout,
    Mask,
    Plan,
    Sources,
    Strengths,
    every,
    none,
    reachable,
)
from kdbench.models.segments import PreActivatedStage

STAGES = (3, 2, 1)  # backwards: who reads is known before who makes


class NarrowingBlock(PreActivationBlock):
    """A pre-activation block whose identity passes on fewer channels than arrive."""

    skip: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> raw sum (B, outputs, H, W)."""
        active = x if self.norm1 is None else relu(self.norm1(x))
        total: Tensor = self.conv2(relu(self.norm2(self.conv1(active)))) + self.skip(x)
        return total


class ProjectionOnly(nn.Module):
    """What is left of a pre-activation block without its branch."""

    def __init__(self, block: PreActivationBlock) -> None:
        super().__init__()
        assert block.shortcut is not None
        self.norm1, self.shortcut = block.norm1, block.shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        projected: Tensor = self.shortcut(x if self.norm1 is None else relu(self.norm1(x)))
        return projected


class WideResNetLayout(Layout):
    """Gates after every norm of a wide ResNet; the identity is not gated.

    A shortcut and the first convolution beside it read through the same norm and share its gates.
    A block's branch goes when either of its convolutions reads nothing. Channels of the running
    sum go as soon as nobody later in the stage reads them. A norm that a projecting shortcut or
    the classifier reads through must read something.
    """

    family = WideResNet
    network: WideResNet

    def find_sources(self) -> Sources:
        """A running sum has one maker per stage: all of its blocks."""
        sources: dict[str, list[tuple[str, int]]] = {}
        for stage in reversed(STAGES):
            place = f"trunk.stage{stage}"
            for i, block in enumerate(self._blocks(stage)):
                path = f"{place}.blocks.{i}"
                if block.norm1 is not None:
                    maker = "trunk.stem.blocks.0" if stage == 1 and i == 0 else place
                    sources[f"{path}.norm1"] = [(maker, block.norm1.num_features)]
                sources[f"{path}.norm2"] = [(f"{path}.conv1", block.norm2.num_features)]
            norm = cast("PreActivatedStage", self.network.segments[stage]).norm
            sources[f"{place}.norm"] = [(place, norm.num_features)]
        return sources

    def plan(self, strengths: Strengths) -> Plan:
        """See `Layout`."""
        plan, norms = Plan(), {}
        for stage in STAGES:
            name = f"trunk.stage{stage}.norm"
            norms[stage] = reachable(strengths[name], _all(strengths[name]), must_read=True)
        for stage in STAGES:
            needs = norms[stage]
            plan.kept[f"trunk.stage{stage}.norm"] = needs
            plan.norm(f"trunk.stage{stage}.norm", needs, needs, self.areas[stage])
            for i in reversed(range(len(self._blocks(stage)))):
                needs = self._plan_block(plan, stage, i, needs, norms.get(stage - 1), strengths)
        stem = cast("nn.Conv2d", self.network.segments[0].blocks[0])
        plan.linear("trunk.stem.blocks.0", every(stem.in_channels), needs, self.areas[0])
        plan.linear("classifier", norms[3], every(self.network.classifier.out_features), 1)
        return plan

    def projection_of(self, block: nn.Module) -> nn.Module:
        """The shortcut and the norm that it reads through."""
        return ProjectionOnly(cast("PreActivationBlock", block))

    def narrowed(self, block: nn.Module, skip: nn.Module) -> nn.Module:
        """The block, of another class that passes the identity through `skip`."""
        block.skip = skip
        block.__class__ = NarrowingBlock
        return block

    def _blocks(self, stage: int) -> list[PreActivationBlock]:
        return cast("list[PreActivationBlock]", list(self.network.segments[stage].blocks))

    def _plan_block(
        self,
        plan: Plan,
        stage: int,
        i: int,
        needs: Mask,
        activated: Mask | None,
        strengths: Strengths,
    ) -> Mask:
        """Note a block whose sum is read in `needs`; returns what it needs of its input."""
        block = self._blocks(stage)[i]
        path, area = f"trunk.stage{stage}.blocks.{i}", self.areas[stage]
        projects = block.shortcut is not None
        if block.norm1 is None and activated is not None:
            reads = activated
        else:  # its own norm runs at the stage's size: only strided blocks are fed activated maps
            gates = strengths[f"{path}.norm1"]
            reads = reachable(gates, _all(gates), must_read=projects)
        inner: Mask = strengths[f"{path}.norm2"] != 0
        alive = bool(reads.any() and inner.any())
        if not alive:
            inner = none(len(inner))
            reads = reads if projects else none(len(reads))
        source = reads if projects else reads | needs
        plan.kept[f"{path}.norm2"] = inner
        if block.norm1 is not None:
            plan.kept[f"{path}.norm1"] = reads
            if alive or projects:
                plan.norm(f"{path}.norm1", reads, source, area)
        if projects:
            plan.linear(f"{path}.shortcut", reads, needs, area)
        if alive:
            plan.linear(f"{path}.conv1", reads, inner, area)
            plan.norm(f"{path}.norm2", inner, inner, area)
            plan.linear(f"{path}.conv2", inner, needs, area)
        plan.block(path, source, needs, alive=alive, projects=projects)
        return source


def _all(strengths: Mask) -> Mask:
    return every(len(strengths))
