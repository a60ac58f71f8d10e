"""Requests: what an exhibit needs, in a reader's words; `kdbench.plan.build` makes runs of them."""

from dataclasses import dataclass
from typing import Any

from kdbench.exhibits.recipe import Recipe

Parameters = tuple[tuple[str, Any], ...]
"""(key, value) pairs that an exhibit sets of a method or search, over everything else."""
TEACHERS = "+"  # between the names of a pair's teachers


@dataclass(frozen=True)
class FurtherTeacher:
    """A teacher beside a pair's own.

    Attributes:
        network: its name.
        seed: of its training, which tells teachers of one network apart; the pair's own has 0.
    """

    network: str
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.network}-seed{self.seed}" if self.seed else self.network


@dataclass(frozen=True)
class Pair:
    """A teacher and a student, by their networks' names; several teachers where there are more.

    Attributes:
        teacher: the (first) teacher.
        student: the student.
        further: teachers beside the first.
    """

    teacher: str
    student: str
    further: tuple[FurtherTeacher, ...] = ()

    @property
    def key(self) -> str:
        """`teacher:student`, the pair's name in declarations and in params.yaml."""
        return f"{self.teachers}:{self.student}"

    @property
    def teachers(self) -> str:
        """The teachers' names, joined by "+"."""
        return TEACHERS.join([self.teacher, *map(str, self.further)])

    @property
    def single(self) -> "Pair":
        """The student and its first teacher."""
        return Pair(self.teacher, self.student)

    def __str__(self) -> str:
        return self.key


@dataclass(frozen=True, kw_only=True)
class TeacherRequest:
    """A teacher alone: trained under a protocol, or imported."""

    dataset: str
    network: str
    recipe: Recipe


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """One search on one pair.

    Attributes:
        recipe: the protocol of the teacher's training.
        search_recipe: the protocol of the search.
        parameters: of the search, where the exhibit differs from its declaration.
        seed: 0, but where an exhibit shows how far apart the seeds of a search end.
        tuning_holdout: share of the training images that it must not see, because its students
            are measured on them; see `StudentRequest`.
        teacher_last: take the teacher at its last epoch, whatever its protocol reports.
    """

    dataset: str
    pair: Pair
    search: str
    recipe: Recipe
    search_recipe: Recipe
    parameters: Parameters = ()
    seed: int = 0
    tuning_holdout: float = 0.0
    teacher_last: bool = False


@dataclass(frozen=True, kw_only=True)
class StudentRequest:
    """The student runs of one cell, which differ in nothing but the seed, and their evaluation.

    Attributes:
        method: a method's name, or several joined by "+", whose losses are added.
        recipe: the protocol of the students, and of the teacher too unless `teacher_recipe` is
            another.
        seeds: how many, where the scale leaves that to the exhibit.
        lead: whether the scale's `lead_seeds` apply.
        least: how many at every scale, unless params.yaml says a number.
        search_recipe: the protocol of the searches that the methods need.
        parameters: of the method, where the exhibit differs from its declaration; of a sum, of
            the parts that know them.
        search_parameters: of its search.
        pruned_by: the student is what this search leaves of its pair's student; None for the
            network itself.
        origin: where the scheme is searched, if not on this pair and data set.
        tuning_holdout: share of the training images that is not trained on and is measured in
            place of the test images; 0 for none.
        teacher_last: see `SearchRequest`; its searches take the teacher so too.
        budget: share of the student protocol's epochs that it is trained for.
        teacher_recipe: the teacher's protocol, where it is not the students'.
        ranks: processes of each student, norms synchronised; None as the scale has it.
    """

    dataset: str
    pair: Pair
    method: str
    recipe: Recipe
    seeds: int
    lead: bool = False
    least: int = 1
    search_recipe: Recipe | None = None
    parameters: Parameters = ()
    search_parameters: Parameters = ()
    pruned_by: SearchRequest | None = None
    origin: SearchRequest | None = None
    tuning_holdout: float = 0.0
    teacher_last: bool = False
    budget: float = 1.0
    teacher_recipe: Recipe | None = None
    ranks: int | None = None


Request = TeacherRequest | SearchRequest | StudentRequest
JOIN = "+"  # between the names of methods whose losses are added
