"""Whether what is planned can be computed by the number of processes that the scale asks for."""

from collections.abc import Iterable

from kdbench.errors import BadValue
from kdbench.plan.components import Component
from kdbench.plan.declarations import MethodDeclaration
from kdbench.plan.params import FILE
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import SearchRun, StudentRun
from kdbench.store.teacher_runs import TeacherRun

LEAST = 2  # images of a rank, which its batch norms need


def check_ranks(run: RunSpec) -> None:
    """Refuse a training or search whose batches have no equal parts for all ranks.

    Raises:
        BadValue: the batch is no multiple of the ranks, or a rank would have a single image.
    """
    if not isinstance(run, TeacherRun | SearchRun | StudentRun):
        return
    ranks, batch = run.runtime.ranks, run.recipe.batch
    if ranks > 1 and (batch % ranks or batch < LEAST * ranks):
        expected = f"a divisor of the {batch} images of a batch, with {LEAST} or more for each rank"
        advice = f"{run.title} has such batches; docs/ranks.md"
        raise BadValue(f"{FILE}, scales.{run.scale}.ranks", ranks, expected, advice)


def check_steps(run: StudentRun, methods: Iterable[Component]) -> None:
    """Refuse a student whose method learns beside the training, where it could not read a step.

    A method declares that by `after_step`.

    Raises:
        BadValue: several ranks, batches in parts, or another optimiser than SGD.
    """
    for method in methods:
        declared = method.declaration
        if not (isinstance(declared, MethodDeclaration) and declared.after_step):
            continue
        learns = f"{declared.label} learns beside the training ({run.title})"
        advice = f"{learns}; keep the other methods by methods_only"
        place, runtime = f"{FILE}, scales.{run.scale}", run.runtime
        if runtime.ranks > 1:
            expected = f"1 for {method.name}, whose own steps ranks do not average"
            raise BadValue(f"{place}.ranks", runtime.ranks, expected, advice)
        if runtime.images_at_once is not None:
            expected = f"null for {method.name}, whose own steps are on whole batches"
            raise BadValue(f"{place}.images_at_once", runtime.images_at_once, expected, advice)
        if run.recipe.optimiser != "sgd":
            expected = f"'sgd' for {method.name}, whose own steps are SGD's"
            where = f"{run.title}, recipe {run.recipe.name}, optimiser"
            raise BadValue(where, run.recipe.optimiser, expected, learns)
