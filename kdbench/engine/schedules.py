"""Learning rates as a pure function of the step: nothing to save, nothing to resume."""

from kdbench.exhibits.recipe import Recipe

POWER = 0.9  # of "poly": DeepLab's, PSPNet's and IFVD's


def rate_at(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Learning rate of one step (0-based): `gamma` once more from every milestone on.

    With the schedule "poly" it falls with every step instead, as (1 - step / steps)^0.9.
    A milestone is an epoch, fractions allowed; at the published lengths all are whole, so the
    rate changes exactly between two epochs.

    >>> from kdbench.exhibits.protocols import REVIEW
    >>> [round(rate_at(REVIEW, epoch * 391, 391), 6) for epoch in (0, 150, 151, 181, 211)]
    [0.1, 0.1, 0.01, 0.001, 0.0001]
    """
    if recipe.schedule == "poly":
        left = 1 - min(1.0, step / max(1, recipe.epochs * steps_per_epoch))
        return recipe.lr * float(left**POWER)
    passed = sum(step >= round(m * steps_per_epoch) for m in recipe.milestones)
    return recipe.lr * recipe.gamma**passed
