"""Typed runs in which students learn, and their evaluation."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

from kdbench.exhibits.recipe import Recipe
from kdbench.store.names import SearchName
from kdbench.store.parts import Method, Network, SearchMethod
from kdbench.store.spec import RunSpec
from kdbench.store.teacher_runs import AnyTeacher, ComputingRun, ImportedTeacher, TeacherRun, entry


def _numbered(role: str, place: int) -> str:
    """The first of several has the bare role, so that one alone has the digest that it had."""
    return role if place == 0 else f"{role}{place}"


@dataclass(frozen=True, kw_only=True)
class TaughtRun(ComputingRun):
    """A run in which a student learns: a search or a student's training.

    Attributes:
        student: the network that learns.
        teachers: those that it learns from; none where the method needs none.
        recipe: the protocol.
        seed: the run's one seed.
        tuning_holdout: share of the training images that it must not see, because students are
            measured on them; 0 for none.
        teacher_last: take the teacher at its last epoch, whatever its protocol reports.
    """

    student: Network
    teachers: tuple[AnyTeacher, ...] = ()
    recipe: Recipe
    seed: int
    tuning_holdout: float = 0.0
    teacher_last: bool = False

    @property
    def teacher(self) -> AnyTeacher | None:
        """The first teacher, which for most runs is the only one."""
        return self.teachers[0] if self.teachers else None

    @property
    def teacher_epoch(self) -> str:
        """At which epoch the teacher is taken: "best", on the test set, or "last"; "" for none.

        That which the teacher's protocol reports, unless `teacher_last`. But a run that chooses
        parameters must not even look at the test set by way of its teacher: it takes the last.
        """
        epoch = self._published_teacher_epoch
        return "last" if epoch and self.teacher_last else epoch

    @property
    def teacher_switched(self) -> bool:
        """Whether the teacher is not taken at the epoch that it would be without `teacher_last`."""
        return self.teacher_epoch != self._published_teacher_epoch

    @property
    def _published_teacher_epoch(self) -> str:
        if self.teacher is None:
            return ""
        best = self.teacher.recipe.reported == "best" and not self.tuning_holdout
        return "best" if best else "last"

    @property
    def protocol(self) -> str:
        """The recipe's name."""
        return self.recipe.name

    def _upstream_teachers(self) -> dict[str, RunSpec]:
        return {_numbered("teacher", place): run for place, run in enumerate(self.teachers)}

    def _networks(self) -> Iterable[Network]:
        yield self.student
        yield from (teacher.network for teacher in self.teachers)

    def _taught(self, identity: bool) -> dict[str, Any]:
        teachers = {
            _numbered("teacher", place): entry(run.network, identity)
            for place, run in enumerate(self.teachers)
        }
        holdout = {"held_out": self.tuning_holdout} if self.tuning_holdout else {}
        switched = {"teacher_epoch": self.teacher_epoch} if self.teacher_switched else {}
        return {
            **teachers,
            "student": entry(self.student, identity),
            "recipe": self.recipe.as_dict(),
            "seed": self.seed,
            **self.runtime.as_dict(),
            **holdout,
            **switched,
        }


@dataclass(frozen=True, kw_only=True)
class SearchRun(TaughtRun):
    """One search on one pair.

    Attributes:
        search: what searches.
        base: the search whose finding this one starts from, if any.
        naming: the parts of the run's name.
    """

    phase: ClassVar[str] = "search"
    search: SearchMethod
    naming: SearchName
    base: "SearchRun | None" = None

    @cached_property
    def upstream(self) -> dict[str, RunSpec]:
        """The data set, the teachers and the base."""
        base = {"base": self.base} if self.base else {}
        return {"data": self.data, **self._upstream_teachers(), **base}

    @property
    def modules(self) -> list[str]:
        """The code of the networks and of the search."""
        codes = [*self._networks(), self.search]
        return [module for code in codes for module in code.modules]

    def _parameters(self, *, identity: bool) -> dict[str, Any]:
        return {**self._taught(identity), "search": entry(self.search, identity)}


@dataclass(frozen=True, kw_only=True)
class StudentRun(TaughtRun):
    """The training of one student.

    Attributes:
        method: how it is distilled.
        structure: the search that pruned the student; None for a network as declared.
        schemes: per loss of the method, the search whose scheme it takes, or None.
    """

    phase: ClassVar[str] = "student"
    method: Method
    structure: SearchRun | None = None
    schemes: tuple[SearchRun | None, ...] = ()

    @property
    def trained(self) -> Network:
        """The network whose weights the run leaves."""
        return self.student

    @cached_property
    def upstream(self) -> dict[str, RunSpec]:
        """The data set, the teachers, the search that pruned the student, the schemes."""
        alone = not self.method.parts
        runs: dict[str, RunSpec] = {"data": self.data, **self._upstream_teachers()}
        if self.structure:
            runs["structure"] = self.structure
        for place, scheme in enumerate(self.schemes):
            if scheme:
                runs["search" if alone else f"search{place}"] = scheme
        return runs

    @property
    def modules(self) -> list[str]:
        """The code of the networks and of the method."""
        codes = [*self._networks(), self.method]
        return [module for code in codes for module in code.modules]

    def _parameters(self, *, identity: bool) -> dict[str, Any]:
        return {**self._taught(identity), "method": entry(self.method, identity)}


MeasuredRun: TypeAlias = TeacherRun | ImportedTeacher | StudentRun
SeededRun: TypeAlias = TeacherRun | SearchRun | StudentRun


@dataclass(frozen=True, kw_only=True)
class EvaluationRun(ComputingRun):
    """The measurement of a table's cell: of a teacher, or of students that differ in the seed.

    Attributes:
        runs: what is measured, at least one.
    """

    phase: ClassVar[str] = "evaluation"
    runs: tuple[MeasuredRun, ...]

    @property
    def first(self) -> MeasuredRun:
        """The first of the measured runs, which says what all of them share."""
        return self.runs[0]

    @property
    def structure(self) -> SearchRun | None:
        """The search that pruned the measured students, if one did."""
        return self.first.structure

    @property
    def tuning_holdout(self) -> float:
        """Share of the training images that is measured on in place of the test images."""
        return self.first.tuning_holdout

    @cached_property
    def upstream(self) -> dict[str, RunSpec]:
        """The measured runs, the data set, and the search that pruned the students."""
        runs: dict[str, RunSpec] = {f"run{place}": run for place, run in enumerate(self.runs)}
        runs["data"] = self.data
        if self.structure:
            runs["structure"] = self.structure
        return runs

    def _parameters(self, *, identity: bool) -> dict[str, Any]:
        holdout = {"held_out": self.tuning_holdout} if self.tuning_holdout else {}
        return {"runs": len(self.runs), **self.runtime.as_dict(), **holdout}


def structure_of(run: RunSpec | None) -> SearchRun | None:
    """The search that pruned what an evaluation measures; None for every other run."""
    return run.structure if isinstance(run, EvaluationRun) else None
