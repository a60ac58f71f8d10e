"""Protocols: how a network is trained. Part of a result's identity; a table never mixes two."""

from dataclasses import dataclass, replace
from typing import Any, Literal

# Keys that came later: a protocol that has their defaults keeps the digests it had.
LATER = {
    "schedule": "step",
    "view": "",
    "warmup_epochs": 0.0,
    "optimiser": "sgd",
    "modality": "rgb",
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training protocol, complete.

    Attributes:
        name: the protocol's name in tables.
        epochs: passes over the training images.
        batch: images per step.
        lr: learning rate of the first step.
        milestones: epochs (fractions allowed) from which on the rate is multiplied by `gamma`
            once more.
        gamma: factor at a milestone.
        momentum, nesterov, weight_decay: of SGD.
        augment: name understood by `kdbench.data.loaders.augment`, or by
            `kdbench.data.loaders.joint` where images come with maps.
        mean, std: channel constants in 0..1; empty means measured on the training split.
        reported: which epoch the authors report, "best" (on the test set) or "last".
        steps_per_epoch: an epoch ends after so many batches; None means all of them.
        evaluate_every: epochs between two looks at the test set; the last epoch always has one.
        schedule: "step" follows `milestones`; "poly" falls from `lr` to 0 as (1 - share of the
            training)^0.9, "cosine" along half a cosine, both step by step and without milestones.
        view: what happens to every image that is measured, and to its map, as understood by
            `kdbench.data.loaders.joint`; "" is nothing.
        warmup_epochs: epochs at the start over which the rate rises linearly to its schedule's.
        optimiser: "sgd", or "adamw" with torch's betas and with `weight_decay` decoupled; it reads
            neither `momentum` nor `nesterov`.
        modality: what networks see of a data set with depths, as understood by
            `kdbench.data.loaders.modality`: "rgb", the image alone, or "rgbd500", the image and
            some 500 of its depths.
    """

    name: str
    epochs: int
    batch: int
    lr: float
    milestones: tuple[float, ...]
    gamma: float = 0.1
    momentum: float = 0.9
    nesterov: bool
    weight_decay: float
    augment: str
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    reported: str
    steps_per_epoch: int | None = None
    evaluate_every: int = 1
    schedule: Literal["step", "poly", "cosine"] = "step"
    view: str = ""
    warmup_epochs: float = 0.0
    optimiser: Literal["sgd", "adamw"] = "sgd"
    modality: str = "rgb"

    def shortened(self, epochs: int | None) -> "Recipe":
        """The same protocol in another number of epochs; what happens keeps its place in it."""
        if epochs is None or epochs == self.epochs:
            return self
        ratio = epochs / self.epochs
        milestones = tuple(round(m * ratio, 3) for m in self.milestones)
        warmup = round(self.warmup_epochs * ratio, 3)
        return replace(self, epochs=epochs, milestones=milestones, warmup_epochs=warmup)

    def as_dict(self) -> dict[str, Any]:
        """JSON form; `Recipe(**…)` with tuples restored by `from_dict` inverts it."""
        fields = dict(vars(self))  # no field nests: `asdict` took a third of the time of a plan
        for key, default in LATER.items():
            if fields[key] == default:
                del fields[key]
        return fields

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> "Recipe":
        """Inverse of `as_dict`, also after a trip through JSON."""
        tuples = {key: tuple(fields[key]) for key in ("milestones", "mean", "std")}
        return Recipe(**{**fields, **tuples})
