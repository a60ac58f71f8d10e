"""Names of runs: their parts, and the one place that prints them. Nothing takes them apart."""

from dataclasses import dataclass

TEACHER_LAST = "-teacher-last"


def _holdout(share: float) -> str:
    return f"-held-out-{share:g}" if share else ""


@dataclass(frozen=True, kw_only=True)
class SearchName:
    """Name of a search's run.

    Attributes:
        teacher, student, search: names of the components.
        parameters: what tells the search from the same one as declared, such as "-beta_budget-0.1".
        seed: printed where it is not 0.
        tuning_holdout: share of the training images held out for its students' measurement.
        teacher_last: whether an exhibit takes the teacher at another epoch than its protocol's.
    """

    teacher: str
    student: str
    search: str
    parameters: str = ""
    seed: int = 0
    tuning_holdout: float = 0.0
    teacher_last: bool = False

    def __str__(self) -> str:
        holdout = _holdout(self.tuning_holdout)
        return f"{self.teacher}_{self.student}_{self.search}{self.details}{holdout}"

    @property
    def details(self) -> str:
        """What tells the search from the same one as declared, but for the tuning hold-out."""
        last = TEACHER_LAST if self.teacher_last else ""
        return self.parameters + last + (f"-seed{self.seed}" if self.seed else "")

    @property
    def pruned_student(self) -> str:
        """Name of the network that the search leaves of its student."""
        return f"{self.student}_{self.search}{self.details}"


@dataclass(frozen=True, kw_only=True)
class CellName:
    """Name of a table's cell: of student runs that differ in the seed alone.

    Attributes:
        teacher: "" where the method needs none; several joined by "+".
        student, method: names of network and method; of a pruned student, see
            `SearchName.pruned_student`.
        parameters: what tells the method from the same one as declared.
        tuning_holdout: share of the training images that the students are measured on.
        schemes: what tells the searches behind the method from the declared ones, one entry per
            search; printed once where several say the same.
        teacher_last: see `SearchName`.
        epochs: length of the training where it is a share of the protocol's; 0 for the whole.
        ranks: processes of a student where an exhibit sets another number than the scale; else 0.
    """

    teacher: str
    student: str
    method: str
    parameters: str = ""
    tuning_holdout: float = 0.0
    schemes: tuple[str, ...] = ()
    teacher_last: bool = False
    epochs: int = 0
    ranks: int = 0

    def __str__(self) -> str:
        prefix = f"{self.teacher}_" if self.teacher else ""
        details = self.parameters + _holdout(self.tuning_holdout)
        details += TEACHER_LAST if self.teacher_last else ""
        details += f"-epochs-{self.epochs}" if self.epochs else ""
        details += f"-ranks-{self.ranks}" if self.ranks else ""
        for scheme in self.schemes:
            details += "" if scheme in details else scheme
        return f"{prefix}{self.student}_{self.method}{details}"

    def of_seed(self, seed: int) -> str:
        """Name of one of the student runs."""
        return f"{self}_s{seed}"
