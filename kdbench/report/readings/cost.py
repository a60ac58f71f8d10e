"""What one method costs: from its evaluation and the records behind it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from kdbench.exhibits.keys import RunKey
from kdbench.exhibits.tasks import SCORES
from kdbench.report.readings.cells import reported
from kdbench.report.readings.records import Record, Records
from kdbench.report.readings.statistics import Estimate, estimate
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import EvaluationRun, StudentRun
from kdbench.store.teacher_runs import ImportedTeacher

HOUR = 3600.0
LEAST_HOURS = 0.02  # below that a ratio to an hour says nothing


@dataclass(frozen=True)
class Cost:
    """One method; None where no record says it. Searches count whole: a student needs them all.

    Attributes:
        accuracy: the score of the task over seeds: top-1 or mIoU in percent.
        epoch: device work of an epoch of training in seconds, mean over seeds.
        step: of a step of training.
        training: of one student.
        search: of all searches that a student needs; 0 without any.
        wall: hours that training and searches took, looks at the test set and checkpoints too.
        memory: largest peak of trainings and searches, in bytes.
        macs: multiply-adds of one student's training and of the searches that it needs.
        teacher: hours of device work of the training of the teachers that it needs.
        teacher_macs: multiply-adds of that.
    """

    name: str
    accuracy: Estimate
    epoch: float | None
    step: float | None
    training: float | None
    search: float | None
    wall: float | None
    memory: float | None
    macs: float | None
    teacher: float | None
    teacher_macs: float | None

    @property
    def total(self) -> float | None:
        """Training and search, in hours."""
        if self.training is None or self.search is None:
            return None
        return (self.training + self.search) / HOUR

    def gain(self, baseline: "Cost | None") -> float | None:
        """Points of accuracy over the baseline; None for the baseline itself."""
        if baseline is None or baseline.name == self.name:
            return None
        return self.accuracy.mean - baseline.accuracy.mean

    def per_hour(self, baseline: "Cost | None") -> float | None:
        """Points gained per hour of search and training; None where both take seconds."""
        gain, total = self.gain(baseline), self.total
        return gain / total if gain is not None and total and total >= LEAST_HOURS else None

    def relative_step(self, baseline: "Cost | None") -> float | None:
        """Time of a step in that of the baseline's."""
        if baseline is None or self.step is None or not baseline.step:
            return None
        return self.step / baseline.step


def read_cost(key: RunKey, spec: RunSpec, record: Record, records: Records) -> Cost:
    """One method from its evaluation and the records behind it.

    Raises:
        DamagedData: a record lacks something.
    """
    runs = spec.runs if isinstance(spec, EvaluationRun) else ()
    students = [run for run in runs if isinstance(run, StudentRun)]
    searches = _direct_upstream(students, "search")
    teachers = _direct_upstream([*students, *searches], "teacher")
    finished = [(run, training) for run in students if (training := records.get(run))]
    trainings = [training for _, training in finished]
    seconds = [training.number("cost", "seconds") for training in trainings]
    steps = [training.number("cost", "steps") for training in trainings]
    epochs = [float(run.recipe.epochs) for run, _ in finished]
    search_records = _all_records(searches, records)
    teacher_records = _all_records(teachers, records)
    if any(isinstance(run, ImportedTeacher) for run in teachers):
        teacher_records = None  # imported: nobody knows what its training took
    return Cost(
        str(key),
        estimate(reported(record, SCORES[spec.task])),
        epoch=fmean(s / e for s, e in zip(seconds, epochs, strict=True)) if finished else None,
        step=sum(seconds) / sum(steps) if sum(steps) else None,
        training=fmean(seconds) if finished else None,
        search=_summed(search_records, "seconds"),
        wall=_in_hours(_per_student(trainings, search_records, "wall_seconds")),
        memory=_largest([*trainings, *(search_records or ())], "peak_memory_bytes"),
        macs=_per_student(trainings, search_records, "macs"),
        teacher=_in_hours(_summed(teacher_records, "seconds")),
        teacher_macs=_summed(teacher_records, "macs"),
    )


def _direct_upstream(runs: Iterable[RunSpec], phase: str) -> list[RunSpec]:
    """Runs of that phase which these need directly, each once."""
    by_digest = {u.digest: u for run in runs for u in run.upstream.values() if u.phase == phase}
    return list(by_digest.values())


def _all_records(runs: Sequence[RunSpec], records: Records) -> list[Record] | None:
    """Their records; None where one is missing, since half of the work would pass for all of it."""
    finished = [record for run in runs if (record := records.get(run))]
    return finished if len(finished) == len(runs) else None


def _summed(records: Sequence[Record] | None, key: str) -> float | None:
    """The sum of a cost; None where a record does not say it."""
    if records is None or any(key not in record.at("cost") for record in records):
        return None
    return sum(record.number("cost", key) for record in records)


def _per_student(
    trainings: Sequence[Record], searches: Sequence[Record] | None, key: str
) -> float | None:
    """A cost of one student, mean over seeds, and of all its searches."""
    training, search = _summed(trainings, key), _summed(searches, key)
    if not trainings or training is None or search is None:
        return None
    return training / len(trainings) + search


def _largest(records: Sequence[Record], key: str) -> float | None:
    """The largest of those that say it; None where no record does."""
    costs = [record.number("cost", key) for record in records if key in record.at("cost")]
    return max(costs, default=None)


def _in_hours(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / HOUR
