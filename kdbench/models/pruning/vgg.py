"""What closed gates leave of a VGG."""

from typing import cast

from kdbench.models.blocks import ConvNorm
from kdbench.models.families.vgg import VGG
from kdbench.models.pruning.channel_layout import Layout, Plan, Sources, Strengths, every, reachable


class VGGLayout(Layout):
    """Gates at the input of every convolution but the first, and of the classifier.

    Every map has one reader, so that a closed gate takes its maker's channel along. Nothing leads
    around a layer: every reader must read something.
    """

    family = VGG
    network: VGG

    def find_sources(self) -> Sources:
        """Every map's maker is the convolution before."""
        names = [name for name, _, _ in self._convolutions()]
        widths = [block.conv.out_channels for _, block, _ in self._convolutions()]
        readers = [*(f"{name}.conv" for name in names[1:]), "classifier"]
        return {
            reader: [(f"{maker}.conv", width)]
            for reader, maker, width in zip(readers, names, widths, strict=True)
        }

    def plan(self, strengths: Strengths) -> Plan:
        """See `Layout`."""
        plan = Plan()
        arriving = every(self.network.image[0])
        for (name, _, area), reader in zip(self._convolutions(), self.sources, strict=True):
            gates = strengths[reader]
            writes = reachable(gates, every(len(gates)), must_read=True)
            plan.kept[reader] = writes
            plan.linear(f"{name}.conv", arriving, writes, area)
            plan.norm(f"{name}.norm", writes, writes, area)
            arriving = writes
        plan.linear("classifier", arriving, every(self.network.classifier.out_features), 1)
        return plan

    def _convolutions(self) -> list[tuple[str, ConvNorm, int]]:
        """Name, module and output pixels of every convolution with its norm."""
        return [
            (f"trunk.{stage.name}.blocks.{i}", cast("ConvNorm", block), area)
            for stage, segment, area in zip(
                self.network.stages, self.network.segments, self.areas, strict=True
            )
            for i, block in enumerate(segment.blocks)
        ]
