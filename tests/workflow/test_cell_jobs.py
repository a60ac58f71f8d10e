"""At scales whose runs take seconds, a cell's students are made by the job of their evaluation."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from kdbench.workflow import Workflow

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def workflow(tmp_path):
    """Asks the plan of a project without any record, at a scale."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)

    def ask(scale):
        return Workflow({"scale": scale, "exhibits": ["distpro/table1"]}, tmp_path)

    return ask


def evaluation(plan):
    """The evaluation of DistPro on the first pair."""
    found = [s for s in plan.graph.runs.values() if s.cell == "wrn-40-2_wrn-16-2_distpro"]
    return next(spec for spec in found if spec.phase == "evaluation")


def phases(plan, spec):
    """Phases of the inputs of a run's job."""
    inputs = plan.upstream(SimpleNamespace(digest=spec.digest))
    return sorted({Path(name).parts[-3] for name in inputs})


def test_students_have_jobs_of_their_own_at_other_scales(workflow):
    """An evaluation waits for their records."""
    plan = workflow("lite")

    assert phases(plan, evaluation(plan)) == ["data", "student"]
    assert any("/student/" in record for record in plan.records())


def test_an_evaluation_waits_for_what_its_students_need(workflow):
    """And nobody asks for the students' records by themselves."""
    plan = workflow("smoke")

    assert phases(plan, evaluation(plan)) == ["data", "search", "teacher"]
    assert not any("/student/" in record for record in plan.records())


def test_a_finished_student_is_an_input_again(workflow):
    """Its artifacts may have to be brought back."""
    plan = workflow("smoke")
    spec = evaluation(plan)
    student = plan.paths.record(spec.upstream["run0"])
    student.parent.mkdir(parents=True)
    student.write_text("{}")
    inputs = plan.upstream(SimpleNamespace(digest=spec.digest))

    assert str(plan.paths.manifest(spec.upstream["run0"])) in inputs
    assert any("/teacher/" in name for name in inputs)  # of the seeds that are not done
