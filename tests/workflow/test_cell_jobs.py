"""At scales whose runs take seconds, one job makes several cells, each with its students."""

import random
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from kdbench.workflow.snakemake import Workflow

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def workflow(tmp_path):
    """Asks the plan of a project without any record, at a scale."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)

    def ask(scale):
        return Workflow({"scale": scale, "exhibits": ["distpro/table1"]}, tmp_path)

    return ask


def touch(path):
    """A record in the place of a real one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")


def evaluations(plan):
    """All of a plan."""
    return [spec for spec in plan.graph.runs.values() if spec.phase == "evaluation"]


def jobs(plan):
    """Cells by job: the digests that every job of an evaluation makes."""
    asked = {Path(name).stem.rpartition(".")[2] for name in plan.records()}
    return [
        plan.cells(SimpleNamespace(digest=spec.digest)).split()
        for spec in evaluations(plan)
        if spec.digest in asked
    ]


def evaluation(plan):
    """The evaluation of DistPro on the first pair."""
    cells = [s for s in plan.graph.runs.values() if s.cell == "wrn-40-2_wrn-16-2_distpro"]
    return next(spec for spec in cells if spec.phase == "evaluation")


def phases(plan, spec):
    """Phases of the inputs of a run's job."""
    inputs = plan.upstream(SimpleNamespace(digest=spec.digest))
    return sorted({Path(name).parts[-3] for name in inputs})


def test_students_have_jobs_of_their_own_at_other_scales(workflow):
    """At a scale without `cells_per_job`, an evaluation waits for the records of its students."""
    plan = workflow("lite")

    assert phases(plan, evaluation(plan)) == ["student"]
    assert any("/student/" in record for record in plan.records())


def test_an_evaluation_waits_for_what_its_students_need(workflow):
    """Its input is what its students wait for last; nobody asks for their records by themselves."""
    plan = workflow("smoke")

    assert phases(plan, evaluation(plan)) == ["search"]
    assert not any("/student/" in record for record in plan.records())


def test_a_finished_student_is_an_input_again(workflow):
    """The evaluation's job waits for its artifacts, which may have to be restored."""
    plan = workflow("smoke")
    spec = evaluation(plan)
    touch(plan.paths.record(spec.runs[0]))
    inputs = plan.upstream(SimpleNamespace(digest=spec.digest))

    assert str(plan.paths.manifest(spec.runs[0])) in inputs
    assert any("/search/" in name for name in inputs)  # of the seeds that are not done


@pytest.mark.parametrize("scale", ["smoke", "lite"])
def test_inputs_are_few_and_stand_for_everything_that_a_job_needs(workflow, scale):
    """Each run before a job is finished with its artifacts, an input, or behind a run to be made.

    Whichever runs are finished: those that were drawn here, and what they needed; some of them
    have lost their artifacts.
    """
    plan, draw = workflow(scale), random.Random(scale)
    runs = list(plan.graph.runs.values())
    finished = {one.digest for run in draw.sample(runs, 20) for one in run.with_upstream()}
    kept = {digest for digest in sorted(finished) if draw.random() < 0.7}
    for run in runs:
        if run.digest in finished:
            touch(plan.paths.record(run))
        if run.digest in kept:
            touch(plan.paths.manifest(run))
    records = {str(plan.paths.record(run)): run for run in runs}
    listed = possible = 0
    for run in runs:
        inputs = plan.upstream(SimpleNamespace(digest=run.digest))
        if run.digest in finished:
            assert inputs == []
            continue
        made = [records[name] for name in inputs if name in records]
        assert not {one.digest for one in made} & finished
        behind = {one.digest for run in made for one in run.with_upstream()}
        for one in direct_inputs(plan, run):
            if one.digest in finished:
                assert (str(plan.paths.manifest(one)) in inputs) == (one.digest not in kept)
            else:
                assert one.digest in behind, run.cell
        listed += len(inputs)
        possible += len(list(direct_inputs(plan, run)))
    assert 0 < listed < 0.8 * possible


def direct_inputs(plan, run):
    """Runs that a job reads and does not make."""
    for one in plan.job_groups.of(run):
        for upstream in one.upstream.values():
            if plan.job_groups.within(upstream) and not plan.paths.record(upstream).is_file():
                yield from direct_inputs(plan, upstream)
            else:
                yield upstream


def test_every_cell_belongs_to_one_job(workflow):
    """A job makes at most four cells of one teacher, the one it is asked for last."""
    plan = workflow("smoke")
    planned = jobs(plan)

    assert sorted(d for job in planned for d in job) == sorted(s.digest for s in evaluations(plan))
    assert 1 < max(map(len, planned)) <= 4
    assert len(planned) < len(evaluations(plan)) / 2
    for job in planned:
        runs = [plan.graph.runs[digest] for digest in job]
        inputs = [{u.digest for u in run.with_upstream() if u.phase == "teacher"} for run in runs]
        assert all(teachers == inputs[0] for teachers in inputs)
        assert str(plan.paths.record(runs[-1])) in plan.records()
        assert len({run.dataset for run in runs}) == 1


def test_cells_of_one_job_wait_for_the_same_searches(workflow):
    """A search that fails keeps no cell from being made that does not need it."""
    plan = workflow("smoke")
    searching = 0
    for job in jobs(plan):
        cells = [plan.graph.runs[digest] for digest in job]
        needed = [{u.digest for u in c.with_upstream() if u.phase == "search"} for c in cells]
        assert all(searches == needed[0] for searches in needed)
        inputs = plan.upstream(SimpleNamespace(digest=job[-1]))
        assert sum("/search/" in name for name in inputs) == len(needed[0])
        searching += bool(needed[0]) and len(job) > 1
    assert searching  # so that the rule was tried


def test_a_job_waits_for_what_every_cell_of_it_needs(workflow):
    """The inputs of all its cells are its inputs, finished students included."""
    plan = workflow("smoke")
    job = max(jobs(plan), key=len)
    student = plan.graph.runs[job[0]].runs[0]
    touch(plan.paths.record(student))
    again = workflow("smoke")

    assert job in jobs(again)
    inputs = again.upstream(SimpleNamespace(digest=job[-1]))
    assert str(plan.paths.manifest(student)) in inputs


def test_others_that_were_begun_change_no_job(workflow):
    """A job on a cluster, which reads the plan anew while others run, finds itself the same."""
    plan = workflow("smoke")
    first, *others = sorted((job for job in jobs(plan) if len(job) > 1), key=len, reverse=True)
    for digest in first:
        plan.paths.artifacts(plan.graph.runs[digest]).mkdir(parents=True)
    again = jobs(workflow("smoke"))

    assert others
    assert all(job in again for job in others)
    assert all([digest] in again for digest in first)


def test_at_other_scales_a_job_makes_one_run(workflow):
    """Every evaluation has a job of its own where the scale has no `cells_per_job`."""
    plan = workflow("lite")

    assert jobs(plan) == [[spec.digest] for spec in evaluations(plan)] != []


def test_finished_cells_are_not_made_again(workflow):
    """Jobs consist of the missing cells."""
    plan = workflow("smoke")
    done = jobs(plan)[0][0]
    touch(plan.paths.record(plan.graph.runs[done]))
    again = workflow("smoke")

    assert done not in {d for job in jobs(again) if len(job) > 1 for d in job}
    assert [done] in jobs(again)  # asked for, and there


@pytest.mark.parametrize("phase", ["student", "evaluation"])
def test_a_cell_that_was_begun_has_a_job_of_its_own(workflow, phase):
    """What made it fail cannot keep the other cells from being made."""
    plan = workflow("smoke")
    begun = plan.graph.runs[next(job for job in jobs(plan) if len(job) > 1)[0]]
    run = begun if phase == "evaluation" else begun.runs[0]
    plan.paths.artifacts(run).mkdir(parents=True)

    assert [begun.digest] in jobs(workflow("smoke"))
    assert [begun.digest] not in jobs(plan)  # as it was when the call began
