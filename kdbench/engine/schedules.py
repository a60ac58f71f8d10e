"""Learning rates as a pure function of the step: nothing to save, nothing to resume."""

from kdbench.exhibits.recipe import Recipe


def rate_at(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Learning rate of one step (0-based): `gamma` once more from every milestone on.

    A milestone is an epoch, fractions allowed; at the published lengths all are whole, so the
    rate changes exactly between two epochs.

    >>> from kdbench.exhibits.protocols import REVIEW
    >>> [round(rate_at(REVIEW, epoch * 391, 391), 6) for epoch in (0, 150, 151, 181, 211)]
    [0.1, 0.1, 0.01, 0.001, 0.0001]
    """
    passed = sum(step >= round(m * steps_per_epoch) for m in recipe.milestones)
    return recipe.lr * recipe.gamma**passed
