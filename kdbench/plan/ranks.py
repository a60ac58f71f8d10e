"""Whether what is planned can be computed by the number of processes that the scale asks for."""

from kdbench.errors import BadValue
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
