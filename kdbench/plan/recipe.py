"""Protocols: how a network is trained. Part of a result's identity; a table never mixes two."""

from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training protocol, complete.

    Attributes:
        name: the protocol's name in tables.
        epochs: passes over the training images.
        batch: images a step.
        lr: learning rate of the first step.
        milestones: epochs (fractions allowed) from which on the rate is multiplied by `gamma`
            once more.
        gamma: factor at a milestone.
        momentum, nesterov, weight_decay: of SGD.
        augment: name understood by `kdbench.data.augment`.
        mean, std: channel constants in 0..1; empty means measured on the training split.
        reported: which epoch the authors report, "best" (on the test set) or "last".
        steps_per_epoch: an epoch ends after so many batches; None means all of them.
        evaluate_every: epochs between two looks at the test set; the last epoch always has one.
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

    def shortened(self, epochs: int | None) -> "Recipe":
        """The same protocol in another number of epochs; milestones keep their place in it."""
        if epochs is None or epochs == self.epochs:
            return self
        ratio = epochs / self.epochs
        milestones = tuple(round(m * ratio, 3) for m in self.milestones)
        return replace(self, epochs=epochs, milestones=milestones)

    def as_dict(self) -> dict[str, Any]:
        """JSON form; `Recipe(**…)` with tuples restored by `from_dict` inverts it."""
        return asdict(self)

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> "Recipe":
        """Inverse of `as_dict`, also after a trip through JSON."""
        tuples = {key: tuple(fields[key]) for key in ("milestones", "mean", "std")}
        return Recipe(**{**fields, **tuples})


# Channel means and deviations in 0..1 that published CIFAR code normalises with.
CONSTANTS = {
    "review": (
        (125.3 / 255, 123.0 / 255, 113.9 / 255),
        (63.0 / 255, 62.1 / 255, 66.7 / 255),
    ),
    "crd": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}

# ReviewKD's CIFAR code: the rate falls after the 0-based epochs 150, 180 and 210, so the first
# rate is used for 151 epochs. DistPro refers to this protocol.
REVIEW = Recipe(
    name="review",
    epochs=240,
    batch=128,
    lr=0.1,
    milestones=(151, 181, 211),
    nesterov=True,
    weight_decay=5e-4,
    augment="crop4-flip",
    mean=CONSTANTS["review"][0],
    std=CONSTANTS["review"][1],
    reported="best",
)

# DistPro, section 4.1: 40 search epochs, the rate falls at 10, 20 and 30.
DISTPRO_SEARCH = replace(REVIEW, name="distpro search", epochs=40, milestones=(10, 20, 30))

# The benchmark of Tian et al.: the rate falls in the 1-based epochs 151, 181 and 211, and the last
# epoch is reported.
CRD = Recipe(
    name="crd",
    epochs=240,
    batch=64,
    lr=0.05,
    milestones=(150, 180, 210),
    nesterov=False,
    weight_decay=5e-4,
    augment="crop4-flip",
    mean=CONSTANTS["crd"][0],
    std=CONSTANTS["crd"][1],
    reported="last",
)

# By protocol: the first rate of ShuffleNets and MobileNets, in ReviewKD's code and in CRD's.
LIGHT_LR = {"review": 0.02, "distpro search": 0.02, "crd": 0.01}
LIGHT_FAMILIES = frozenset({"shufflenet_v1", "shufflenet_v2", "mobilenet_v2"})
