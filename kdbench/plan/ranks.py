"""The processes that share a run: how many, and whether what is planned can be shared by them."""

from collections.abc import Iterable

from kdbench.errors import BadValue
from kdbench.plan.components import Component
from kdbench.plan.declarations import MethodDeclaration
from kdbench.plan.params import FILE, Params, SharedPhase
from kdbench.plan.scales import Scale
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import SearchRun, StudentRun
from kdbench.store.teacher_runs import TeacherRun

LEAST = 2  # images of a rank, which its batch norms need
SETTINGS = "scales.{}.ranks or ranks"  # where their number may be from


def ranks_of(params: Params, scale: Scale, phase: SharedPhase, dataset: str, trained: str) -> int:
    """The number of processes of a training or search.

    Args:
        params: what the user asked for; its `ranks` says it for real images.
        scale: in force; says it for all that `ranks` does not name.
        phase: of the run.
        dataset: of the run.
        trained: `teacher:student`, or a network that has no teacher.
    """
    named = {} if scale.stand_in else params.ranks.get(f"{dataset}/{trained}", {})
    return named.get(phase, scale.ranks)


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
        raise BadValue(f"{FILE}, {SETTINGS.format(run.scale)}", ranks, expected, advice)


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
            where = f"{FILE}, {SETTINGS.format(run.scale)}"
            raise BadValue(where, runtime.ranks, expected, advice)
        if runtime.images_at_once is not None:
            expected = f"null for {method.name}, whose own steps are on whole batches"
            raise BadValue(f"{place}.images_at_once", runtime.images_at_once, expected, advice)
        if run.recipe.optimiser != "sgd":
            expected = f"'sgd' for {method.name}, whose own steps are SGD's"
            where = f"{run.title}, recipe {run.recipe.name}, optimiser"
            raise BadValue(where, run.recipe.optimiser, expected, learns)
