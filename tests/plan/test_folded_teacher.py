"""Which runs `fold_teacher` makes others of."""

from kdbench.store.student_runs import StudentRun


def test_folding_makes_other_runs_of_students_whose_teacher_looks_in_eval_mode(planned):
    """Students without a teacher, or with batch statistics, teachers and searches stay."""
    plain, changed = planned(), planned(scales={"smoke": {"fold_teacher": True}})
    new = [run for key, run in changed.runs.items() if key not in plain.runs]
    old = [run for key, run in changed.runs.items() if key in plain.runs]

    def foldable(run):
        modes = {part.teacher_mode for part in run.method.losses}
        return isinstance(run, StudentRun) and bool(run.teachers) and modes == {"eval"}

    students = [run for run in new if run.phase == "student"]
    assert {run.phase for run in new} == {"student", "evaluation"}
    assert students and all(foldable(run) for run in students)
    assert not any(foldable(run) for run in old if isinstance(run, StudentRun))
    assert {type(run).__name__ for run in old} >= {"TeacherRun", "SearchRun", "StudentRun"}


def test_runs_that_fold_nothing_say_nothing_of_it(planned):
    """Their parameters, and so their digests, are those of runs made before there was a choice."""
    for run in planned().runs.values():
        assert "fold_teacher" not in run._parameters(identity=True)
