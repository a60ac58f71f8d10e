"""Vision transformers, made of timm's blocks; their tokens are shown as maps."""

from collections.abc import Sequence
from math import gcd
from typing import Any, cast

import timm
import torch
from timm.models.vision_transformer import Block
from timm.models.vision_transformer import VisionTransformer as TimmTransformer
from torch import Tensor, nn

from kdbench.errors import BadValue, UserError
from kdbench.models.segments import Segment, StageMaps
from kdbench.models.stages import StagedNetwork

SIZES = {"ti": "tiny", "s": "small", "b": "base"}
MINI: dict[str, Any] = {
    "embed_dim": 32,
    "depth": 4,
    "num_heads": 2,
}  # ours: plays a part where nothing is claimed
STAGES = 4
GRID = 14  # patches on a side, which the choice of a patch aims at: 224 / 16


class TokenStage(Segment):
    """Transformer blocks in a row, whose tokens are shown as maps without the class token.

    `pre`, `post` and `out` are one map (B, D, H, W); the next stage computes with all tokens.

    Args:
        blocks: modules from tokens to tokens (B, 1 + H · W, D), or from images to them.
        grid: (H, W) of the patches.
    """

    def __init__(self, *blocks: nn.Module, grid: tuple[int, int]) -> None:
        super().__init__(*blocks)
        self.grid = grid

    def forward(self, x: Tensor, keep: bool = False) -> StageMaps:
        """Run the stage on the previous stage's tokens, keeping the blocks' maps if asked."""
        blocks = []
        for block in self.blocks:
            x = block(x)
            if keep:
                blocks.append(self._map(x).contiguous())  # losses may flatten maps with view
        shown = blocks[-1] if keep else self._map(x)
        return StageMaps(shown, shown, shown, blocks, x)

    def activate(self, pre: Tensor) -> Tensor:
        """Refused: a map lacks the class token, without which the rest cannot run.

        Raises:
            UserError: always.
        """
        raise UserError(
            "from_stage of a vision transformer: found a map, expected one with its class token, "
            "which maps do not hold; use a method that reads features, or a convolutional network"
        )

    def _map(self, tokens: Tensor) -> Tensor:
        """The patches' tokens as a view (B, D, H, W)."""
        return torch.unflatten(tokens[:, 1:].transpose(1, 2), 2, self.grid)


class Embedding(nn.Module):
    """Patches become tokens behind a class token, and all are told their positions.

    Args:
        built: timm's network, whose embedding, class token and positions this takes over.
    """

    def __init__(self, built: TimmTransformer) -> None:
        super().__init__()
        assert built.cls_token is not None and built.pos_embed is not None  # timm's defaults
        self.patch_embed = built.patch_embed
        self.cls_token = built.cls_token
        self.pos_embed = built.pos_embed

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) images -> tokens (B, 1 + patches, D).

        Raises:
            BadValue: images of another size than the positions were made for.
        """
        expected = self.patch_embed.img_size
        if tuple(images.shape[2:]) != tuple(expected):
            found, built_for = ("x".join(map(str, side)) for side in (images.shape[2:], expected))
            advice = "build the network for the size of the images"
            raise BadValue("images of a vision transformer", found, f"{built_for} pixels", advice)
        patches = self.patch_embed(images)
        first = self.cls_token.expand(len(patches), -1, -1)
        return torch.cat([first, patches], 1) + self.pos_embed


class VisionTransformer(StagedNetwork):
    """ViT of 12 blocks as an embedding and four stages of three blocks, all of one width.

    Maps are the patches' tokens. No ReLU ends a stage, so `pre`, `post` and `out` are the same
    map. `pooled` is the class token after the last norm. Only images of the given size pass.

    Attention is computed as two plain products: the fused kernels of torch have no derivative in
    forward mode and no second derivative.

    Args:
        size: "ti", "s" or "b", or the same in DeiT's words: "tiny", "small", "base"; or "mini",
            see `MINI`.
        patch: side of a patch in pixels; None takes the divisor of the image's sides nearest to
            a 14th of the shorter one (224: 16, 32: 2, 8: 1).
        classes: number of logits.
        image: (C, H, W).

    Raises:
        BadValue: there is no such size, or the patch does not divide the image's sides.

    Source: Dosovitskiy et al., ICLR 2021, table 1; Touvron et al., ICML 2021, table 1 (without
    the distillation token, the same network); both as in timm.
    """

    def __init__(
        self,
        size: str,
        *,
        patch: int | None = None,
        classes: int = 1000,
        image: Sequence[int] = (3, 224, 224),
    ) -> None:
        mini = size == "mini"
        size = "tiny" if mini else SIZES.get(size, size)
        if size not in SIZES.values():
            raise BadValue("size of a vision transformer", size, f"one of {', '.join(SIZES)}")
        built = timm.create_model(
            f"vit_{size}_patch16_224",
            **(MINI if mini else {}),
            pretrained=False,
            img_size=tuple(image[1:]),
            patch_size=fitting_patch(image, patch),
            in_chans=image[0],
            num_classes=classes,
        )
        assert isinstance(built, TimmTransformer)
        height, width = built.patch_embed.grid_size
        blocks = cast("list[Block]", list(built.blocks))
        for block in blocks:
            attention: Any = block.attn  # timm declares the switch final
            attention.fused_attn = False
        each = len(blocks) // STAGES
        parts: list[Sequence[nn.Module]] = [
            [Embedding(built)],
            *(blocks[i * each :][:each] for i in range(STAGES)),
        ]
        segments = [TokenStage(*part, grid=(height, width)) for part in parts]
        super().__init__(segments, built.embed_dim, classes=classes, image=image, neck=built.norm)
        self.classifier = cast("nn.Linear", built.head)

    def head(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The class token (B, D) after the last norm, and logits (B, classes)."""
        pooled = self.neck(x)[:, 0]
        return pooled, self.classifier(pooled)


def fitting_patch(image: Sequence[int], patch: int | None = None) -> int:
    """Side of the patches of an image (C, H, W): the one asked for, or the most fitting one.

    Raises:
        BadValue: the patch asked for does not divide both sides.

    >>> fitting_patch((3, 224, 224)), fitting_patch((3, 32, 32)), fitting_patch((3, 8, 8))
    (16, 2, 1)
    """
    _, height, width = image
    common = gcd(height, width)
    fitting = [side for side in range(1, common + 1) if common % side == 0]
    if patch is None:
        return min(fitting, key=lambda side: abs(side - min(height, width) / GRID))
    if patch not in fitting:
        nearest = min(fitting, key=lambda side: abs(side - patch))
        where = f"patch of a vision transformer on {height}x{width} images"
        raise BadValue(where, patch, "a divisor of both sides", f"the nearest is {nearest}")
    return patch
