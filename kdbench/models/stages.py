"""Networks cut into stages, which one forward pass can read out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from kdbench.exhibits.tasks import CLASSIFICATION, TaskName
from kdbench.models.segments import Segment, StageMaps
from kdbench.models.shapes import ghost_pass


@dataclass(frozen=True)
class Stage:
    """A named place in a network and the shape of its maps for one image.

    Attributes:
        name: `stem`, `stage1`, `stage2`, ...
        channels: number of channels of the stage's maps.
        size: their (H, W) for the image size that the network was built for.
    """

    name: str
    channels: int
    size: tuple[int, int]


@dataclass
class Features:
    """Everything that one forward pass shows. Lists go by stage; stage 0 is the stem.

    Attributes:
        logits: (B, classes); of dense networks (B, classes, H, W) at the images' size.
        pre: (B, C, H, W) before the stage's last ReLU.
        post: the same after that ReLU.
        out: what the field calls the stage's feature: `post` for most families, the raw residual
            sum for pre-activation networks.
        blocks: the (B, C, H, W) output of every block, before the ReLU (and the norm, in
            pre-activation networks) that follows; the stem counts as one block.
        pooled: (B, D), what the classifier sees.
        auxiliary: logits of an auxiliary head, which dense networks may have in training.
    """

    logits: Tensor
    pre: list[Tensor]
    post: list[Tensor]
    out: list[Tensor]
    blocks: list[list[Tensor]]
    pooled: Tensor
    auxiliary: Tensor | None = field(default=None, kw_only=True)


class StagedNetwork(nn.Module):
    """A network of stages, a global average pool and a linear classifier.

    A family hands over its stages; everything else is the same for all, but for two hooks that a
    family may override: `head` (what comes after the last stage) and `init_weights`. Nothing is
    kept on the module during a forward pass and torch's own hooks are not used, so that passes can
    be compiled, nested and differentiated in forward mode.
    `torch.func.functional_call` reaches every kind of pass:

        functional_call(network, weights, (images,), {"read": True})     # Features
        functional_call(network, weights, (images,), {"read": True, "until": 1})  # as read(x, 1)
        functional_call(network, weights, (pre,), {"after": 2})          # as from_stage(2, pre)
        functional_call(network, weights, (raw,), {"after": 2, "raw": True})

    Args:
        segments: the stages in order, stem first.
        width: D, the channels that reach the classifier.
        classes: number of logits.
        image: (C, H, W) for which `stages` states sizes. Passes accept other sizes too.
        neck: module between the last stage and the pooling, if any.

    Attributes:
        task: what the network is for.
        arguments: what the family was built with, without classes and image, in values that JSON
            can hold. Families that a student can be pruned from set it.
    """

    task: ClassVar[TaskName] = CLASSIFICATION
    arguments: Mapping[str, Any]

    def __init__(
        self,
        segments: Sequence[Segment],
        width: int,
        *,
        classes: int,
        image: Sequence[int],
        neck: nn.Module | None = None,
    ) -> None:
        super().__init__()
        names = ["stem", *(f"stage{i}" for i in range(1, len(segments)))]
        self.trunk = nn.ModuleDict(dict(zip(names, segments, strict=True)))
        self.neck = nn.Identity() if neck is None else neck
        self.classifier = nn.Linear(width, classes)
        self.image = tuple(image)

    def forward(
        self,
        x: Tensor,
        *,
        read: bool = False,
        after: int | None = None,
        raw: bool = False,
        until: int | None = None,
    ) -> Tensor | Features:
        """Run the network once, on images or from the middle.

        Args:
            x: (B, C, H, W) images; with `after`, a map in the place of that stage's `pre`.
            read: give all features instead of the logits (B, classes) alone.
            after: stage whose last ReLU is the first thing to run.
            raw: with `after`, x stands in the place of the last block's output instead; a norm
                between the two runs on it (pre-activation networks).
            until: with `read`, the last stage that runs, see `read`.

        Raises:
            ValueError: both `read` and `after`, or `until` without `read`; a part of the network
                has not all features.
            IndexError: there is no such stage.
            UserError: `after` in a network that cannot go on from a map (transformers).
        """
        segments = self.segments
        if until is not None:
            if not read:
                raise ValueError("only what is read can stop at a stage: give read with until")
            segments = segments[: self._place(until) + 1]
        if after is not None:
            if read:
                raise ValueError("only a whole pass can be read: give either read or after")
            x = segments[after].finish(x) if raw else segments[after].activate(x)
            segments = segments[after:][1:]
        maps: list[StageMaps] = []
        for segment in segments:
            stage = segment(x, keep=read)
            x = stage.carried
            if read:
                maps.append(stage)
        # A pass that stops early has no logits: whoever asks for one of (B, 0) gets an error.
        pooled, logits = (x.new_empty(len(x), 0),) * 2 if until is not None else self.head(x)
        return _features(logits, maps, pooled) if read else logits

    def head(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled vector (B, D) and logits (B, classes) of what the last stage hands over."""
        pooled = self.neck(x).mean((2, 3))
        return pooled, self.classifier(pooled)

    def init_weights(self) -> None:
        """Draw the weights anew, with torch's global generator, in the way of the family.

        Nothing by default: modules that were just made, or reset, are as torch draws them. Whoever
        overrides it calls it at the end of the constructor too.
        """

    def read(self, x: Tensor, until: int | None = None) -> Features:
        """Logits and all features of images (B, C, H, W), from one forward pass.

        Args:
            x: images.
            until: the last stage that runs, where no later one is looked at. Maps up to it have the
                bits of a whole pass; lists end there; logits and pooled vector are (B, 0).

        Raises:
            IndexError: there is no stage `until`.
        """
        features: Features = (
            self(x, read=True) if until is None else self(x, read=True, until=until)
        )
        return features

    def from_stage(self, i: int, x: Tensor, *, raw: bool = False) -> Tensor:
        """Logits (B, classes) of the rest of the network, given a map for `pre[i]`.

        Starts with the ReLU that ends stage i; no norm in front of it runs again.

        Args:
            i: stage.
            x: (B, C, H, W).
            raw: x stands in the place of `blocks[i][-1]`, and the norm that follows a
                pre-activation stage's raw sum runs on it.

        Raises:
            IndexError: there is no stage i.
            UserError: the network cannot go on from a map (transformers).
        """
        logits: Tensor = self(x, after=i, raw=raw)
        return logits

    def last_norm(self, i: int) -> nn.BatchNorm2d | None:
        """The last batch norm before the ReLU that ends stage i, or None where there is none.

        Its output is `pre[i]`, except after a residual sum (ResNet), where it is the norm that
        ends the last block's residual branch, as the authors of OFD take it. None after
        concatenations of which only a part was normed (ShuffleNet-v2) and where no ReLU follows.

        Raises:
            IndexError: there is no stage i.
        """
        return self.segments[i].last_norm

    def _place(self, i: int) -> int:
        """Position of stage i, counted from 0.

        Raises:
            IndexError: there is no stage i.
        """
        return range(len(self.trunk))[i]

    @property
    def segments(self) -> list[Segment]:
        """The stages' modules in order, stem first."""
        return cast("list[Segment]", list(self.trunk.values()))

    @property
    def pooled_width(self) -> int:
        """D, the length of the pooled vector."""
        return self.classifier.in_features

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """Name and shape of every stage, measured without computing a number."""
        features: Features = ghost_pass(self, (2, *self.image), read=True)
        shapes = [tuple(pre.shape) for pre in features.pre]
        return tuple(
            Stage(name, channels, (height, width))
            for name, (_, channels, height, width) in zip(self.trunk, shapes, strict=True)
        )


def _features(logits: Tensor, maps: Sequence[StageMaps], pooled: Tensor) -> Features:
    """Turn maps by stage into stages by map."""
    return Features(
        logits=logits,
        pre=[stage.pre for stage in maps],
        post=[stage.post for stage in maps],
        out=[stage.out for stage in maps],
        blocks=[stage.blocks for stage in maps],
        pooled=pooled,
    )
