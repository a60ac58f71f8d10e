"""Learning rates as a pure function of the step: nothing to save, nothing to resume."""

from math import cos, pi

from kdbench.exhibits.recipe import Recipe

POWER = 0.9  # of "poly": DeepLab's, PSPNet's and IFVD's


def rate_at(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Learning rate of one step (0-based).

    A step schedule has the factor `gamma` once more from every milestone on. A milestone is an
    epoch, fractions allowed; at the published lengths all are whole, so the rate changes exactly
    between two epochs. A cosine falls with every step: from `lr` at the first to almost 0 at the
    last; so does "poly", as (1 - step / steps)^0.9. A warm-up multiplies all by a share that rises
    linearly to 1.

    Source: Loshchilov and Hutter, ICLR 2017, equation 5 without restarts (cosine).

    >>> from kdbench.exhibits.protocols import IMAGENET, REVIEW
    >>> [round(rate_at(REVIEW, epoch * 391, 391), 6) for epoch in (0, 150, 151, 181, 211)]
    [0.1, 0.1, 0.01, 0.001, 0.0001]
    >>> [round(rate_at(IMAGENET, epoch * 2503, 2503), 6) for epoch in (0, 50, 75)]
    [0.1, 0.05, 0.014645]
    """
    share = min(1.0, step / max(1, recipe.epochs * steps_per_epoch))
    if recipe.schedule == "poly":
        rate = recipe.lr * float((1 - share) ** POWER)
    elif recipe.schedule == "cosine":
        rate = recipe.lr * (1 + cos(pi * share)) / 2
    else:
        passed = sum(step >= round(m * steps_per_epoch) for m in recipe.milestones)
        rate = recipe.lr * recipe.gamma**passed
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    return rate * (step + 1) / warmup if step < warmup else rate
