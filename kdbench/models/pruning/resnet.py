"""What closed gates leave of a ResNet."""

from typing import cast

from torch import nn

from kdbench.models.blocks import ConvNorm
from kdbench.models.families.resnet import ResidualBlock, ResNet
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

STAGES = (3, 2, 1)  # backwards: who reads is known before who makes


class ResNetLayout(Layout):
    """Gates of a ResNet; the identity is not gated.

    They lie at the input of a block's first convolution, of its projection and of the classifier,
    and after the norm in front of a block's second convolution.
    A block's branch goes, with the constant that its last norm would add to nothing, when either
    of its convolutions reads nothing. Channels of the running sum go as soon as nobody later in
    the stage reads them. A projection and the classifier must read something.
    """

    family = ResNet
    network: ResNet

    def find_sources(self) -> Sources:
        """A running sum has one maker per stage: all of its blocks."""
        sources: dict[str, list[tuple[str, int]]] = {}
        for stage in reversed(STAGES):
            for i, block in enumerate(self._blocks(stage)):
                path = f"trunk.stage{stage}.blocks.{i}"
                maker = "trunk.stem" if stage == 1 else f"trunk.stage{stage - 1}"
                maker = maker if i == 0 else f"trunk.stage{stage}"
                arriving = [(maker, block.first.conv.in_channels)]
                sources[f"{path}.first.conv"] = arriving
                inner = (f"{path}.first.conv", block.first.norm.num_features)
                sources[f"{path}.first.norm"] = [inner]
                if isinstance(block.shortcut, ConvNorm):
                    sources[f"{path}.shortcut.conv"] = arriving
        sources["classifier"] = [("trunk.stage3", self.network.classifier.in_features)]
        return sources

    def plan(self, strengths: Strengths) -> Plan:
        """See `Layout`."""
        plan, gates = Plan(), strengths["classifier"]
        needs = reachable(gates, every(len(gates)), must_read=True)
        plan.kept["classifier"] = needs
        plan.linear("classifier", needs, every(self.network.classifier.out_features), 1)
        for stage in STAGES:
            for i in reversed(range(len(self._blocks(stage)))):
                needs = self._plan_block(plan, stage, i, needs, strengths)
        stem = cast("ConvNorm", self.network.segments[0].blocks[0]).conv
        area = self.areas[0]
        plan.linear("trunk.stem.blocks.0.conv", every(stem.in_channels), needs, area)
        plan.norm("trunk.stem.blocks.0.norm", needs, needs, area)
        return plan

    def projection_of(self, block: nn.Module) -> nn.Module:
        """The shortcut alone."""
        return cast("ResidualBlock", block).shortcut

    def narrowed(self, block: nn.Module, skip: nn.Module) -> nn.Module:
        """The block with `skip` in place of its identity."""
        cast("ResidualBlock", block).shortcut = skip
        return block

    def _blocks(self, stage: int) -> list[ResidualBlock]:
        return cast("list[ResidualBlock]", list(self.network.segments[stage].blocks))

    def _plan_block(
        self, plan: Plan, stage: int, i: int, needs: Mask, strengths: Strengths
    ) -> Mask:
        """Note a block whose sum is read in `needs`; returns what it needs of its input."""
        block = self._blocks(stage)[i]
        path, area = f"trunk.stage{stage}.blocks.{i}", self.areas[stage]
        reads: Mask = strengths[f"{path}.first.conv"] != 0
        inner: Mask = strengths[f"{path}.first.norm"] != 0
        alive = bool(reads.any() and inner.any())
        if not alive:
            reads, inner = none(len(reads)), none(len(inner))
        projects = isinstance(block.shortcut, ConvNorm)
        passed = needs
        if projects:
            gates = strengths[f"{path}.shortcut.conv"]
            passed = reachable(gates, every(len(gates)), must_read=True)
            plan.kept[f"{path}.shortcut.conv"] = passed
        source = reads | passed
        plan.kept |= {f"{path}.first.conv": reads, f"{path}.first.norm": inner}
        if alive:
            plan.linear(f"{path}.first.conv", reads, inner, area, source)
            plan.norm(f"{path}.first.norm", inner, inner, area)
            plan.linear(f"{path}.second.conv", inner, needs, area)
            plan.norm(f"{path}.second.norm", needs, needs, area, relu=False)
        if projects:
            plan.linear(f"{path}.shortcut.conv", passed, needs, area, source)
            plan.norm(f"{path}.shortcut.norm", needs, needs, area, relu=False)
        plan.rectified += int(needs.sum()) * area  # the sum's, also where a bare identity is left
        plan.block(path, source, needs, alive=alive, projects=projects)
        return source
