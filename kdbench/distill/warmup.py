"""A distillation weight that grows from epoch to epoch, as some authors' code has it."""

from kdbench.engine.position import TrainingPosition


def warmup(position: TrainingPosition, epochs: int, of: int, *, first: int) -> float:
    """Share of the full weight: a staircase in epochs that ends at 1.

    Args:
        position: where the training stands.
        epochs: length of the published warm-up; 0 for none.
        of: length of the published training; a shorter training warms up in proportion.
        first: how many steps of the staircase the first epoch stands on: 0 where the authors'
            code counts epochs from 0, 1 where it counts from 1.

    >>> warmup(TrainingPosition(500, 24000, epoch=5, epochs=240), epochs=20, of=240, first=0)
    0.25
    """
    if epochs == 0:
        return 1.0
    return min(1.0, (position.epoch + first) * of / (epochs * position.epochs))
