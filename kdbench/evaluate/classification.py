"""How well a network classifies: accuracy and calibration on a whole split.

Ours, not torchmetrics': that computes in float32, so 16.08 % would be recorded as 16.0799992, its
bins of the confidence are open at the other end, and importing it takes 6 seconds of CPU time.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from kdbench.data.loaders.batch import Batch
from kdbench.engine import ranks
from kdbench.engine.precision import Precision
from kdbench.errors import Diverged
from kdbench.models.stages import StagedNetwork

BINS = 15
FINITE_LOSSES = "though the losses of the training may be; lower the learning rate"


def accuracy(logits: Tensor, labels: Tensor, k: int = 1) -> float:
    """Share of rows, in percent, whose label is among the k largest logits.

    Args:
        logits: (N, classes).
        labels: (N,) integers.
        k: at most the number of classes is looked at.
    """
    top = logits.topk(min(k, logits.shape[1]), dim=1).indices  # (N, k)
    hits = (top == labels[:, None]).any(dim=1)
    return 100 * float(hits.double().mean())


def calibration_error(logits: Tensor, labels: Tensor, bins: int = BINS) -> float:
    """Expected calibration error in percent, over bins of equal width of the confidence.

    Args:
        logits: (N, classes).
        labels: (N,) integers.
        bins: number of bins over (0, 1].

    Source: Guo et al., ICML 2017, Eq. 3, with 15 bins.
    """
    confidence, guess = logits.double().softmax(1).max(1)
    hit = (guess == labels).double()
    bin_of = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gaps = torch.zeros(bins, dtype=torch.float64, device=logits.device)
    gaps.index_add_(0, bin_of, hit - confidence)
    return 100 * float(gaps.abs().sum() / len(labels))


def require_finite(network: nn.Module) -> None:
    """Refuse a network with a weight or a running statistic that is not finite.

    In train mode a norm does not read its running statistics, so the losses may be finite; in
    evaluation mode an infinite variance makes every image the same.

    Raises:
        Diverged: it names the first.
    """
    values = {k: v for k, v in network.state_dict().items() if v.is_floating_point()}
    finite = torch.stack([value.isfinite().all() for value in values.values()])
    for name, is_finite in zip(values, finite.tolist(), strict=True):  # one look at the device
        if not is_finite:
            raise Diverged(f"{name} holds numbers that are not finite, {FINITE_LOSSES}")


@torch.inference_mode()
def predict(
    network: StagedNetwork, batches: Iterable[Batch], precision: Precision
) -> tuple[Tensor, Tensor]:
    """Logits (N, classes) in float32 and labels (N,) of all batches; the mode is as before.

    Ranks that have some of the batches each all get the logits of all.

    Raises:
        Diverged: a logit is not finite, or see `require_finite`. The order of such logits would
            pass for an accuracy near chance.
    """
    require_finite(network)
    training = network.training
    network.eval()
    logits, labels = [], []
    for batch in batches:
        with precision.autocast():
            logits.append(network(batch.images).float())
        labels.append(batch.labels)
    network.train(training)
    nothing = torch.empty(0, device=precision.device)
    whole = ranks.rows(torch.cat(logits) if logits else nothing)
    bad = int((~whole.isfinite().all(1)).sum())
    if bad:
        raise Diverged(
            f"in evaluation mode the logits of {bad} of {len(whole)} images are not finite, "
            f"{FINITE_LOSSES}"
        )
    return whole, ranks.rows(torch.cat(labels) if labels else nothing.long())


def accuracy_by_class(logits: Tensor, labels: Tensor) -> list[float | None]:
    """Top-1 accuracy in percent of the images of each class; None for a class without images.

    Args:
        logits: (N, classes).
        labels: (N,) integers.
    """
    classes = logits.shape[1]
    hits = labels[logits.topk(1).indices[:, 0] == labels].bincount(minlength=classes)
    images = labels.bincount(minlength=classes)
    counts = zip(hits.tolist(), images.tolist(), strict=True)
    return [100 * hit / count if count else None for hit, count in counts]


def classify(
    network: StagedNetwork, batches: Iterable[Batch], precision: Precision
) -> dict[str, float]:
    """Top-1 and top-5 accuracy and calibration error, all in percent.

    Raises:
        Diverged: see `predict`.
    """
    return scores(*predict(network, batches, precision))


def scores(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """The numbers of `classify`, from logits (N, classes) and labels (N,)."""
    return {
        "top1": accuracy(logits, labels),
        "top5": accuracy(logits, labels, 5),
        "ece": calibration_error(logits, labels),
    }
