"""What is learned. A data set declares its task; networks and methods say which ones they are for.

What a task does with tensors, its loss and its measures, is in `kdbench.evaluate.tasks`.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from kdbench.exhibits.tables import MIOU, RMSE, TOP1, Metric

TaskName: TypeAlias = Literal["classification", "segmentation", "depth"]
CLASSIFICATION: TaskName = "classification"  # a class per image
SEGMENTATION: TaskName = "segmentation"  # a class per pixel
DEPTH: TaskName = "depth"  # metres per pixel

IGNORED = 255  # of a mask: a pixel that no loss and no metric looks at
NO_DEPTH = 0.0  # of a depth map: a pixel without a measurement, treated alike

# By task, the number that trainings are watched by and that chooses their best epoch.
SCORES: Mapping[str, Metric] = {CLASSIFICATION: TOP1, SEGMENTATION: MIOU, DEPTH: RMSE}


def score_curve(task: str) -> str:
    """The name of the curve of a task's score on the test images, in records.

    >>> score_curve(DEPTH)
    'test_rmse'
    """
    return f"test_{SCORES[task].key}"


def outputs(task: str, classes: int) -> int:
    """How many outputs a network has, per image or pixel: one per class, or the depth alone."""
    return 1 if task == DEPTH else classes
