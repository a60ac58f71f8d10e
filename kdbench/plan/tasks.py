"""Whether networks, methods and searches are made for the task of a data set."""

from kdbench.errors import BadValue
from kdbench.exhibits.tasks import CLASSIFICATION, TaskName
from kdbench.plan.components import Component
from kdbench.plan.declarations import (
    DatasetDeclaration,
    MethodDeclaration,
    NetworkDeclaration,
    SearchDeclaration,
)


def task_of(dataset: Component) -> TaskName:
    """What is learned on a data set."""
    declared = dataset.declaration
    return declared.task if isinstance(declared, DatasetDeclaration) else CLASSIFICATION


def check_task(dataset: Component, *parts: Component) -> None:
    """Refuse what is not made for a data set's task.

    Args:
        dataset: declares the task.
        parts: networks, methods and searches of one run.

    Raises:
        BadValue: one of them is made for other tasks; the line says why.
    """
    task = task_of(dataset)
    for part in parts:
        tasks, reason = _made_for(part)
        if task not in tasks:
            where = f"{dataset.name}, {part.kind} {part.name}"
            raise BadValue(where, task, " or ".join(tasks), reason)


def _made_for(part: Component) -> tuple[list[TaskName], str]:
    """The tasks of a component, and why it is made for no other."""
    declared = part.declaration
    if isinstance(declared, NetworkDeclaration):
        return [declared.task], f"it is a network for {declared.task}"
    if isinstance(declared, MethodDeclaration | SearchDeclaration):
        return declared.tasks, f"{part.name} {declared.otherwise}"
    raise TypeError(f"a {part.kind} is made for no task")
