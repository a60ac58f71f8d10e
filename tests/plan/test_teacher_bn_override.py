"""The teacher's batch norm may be set from params.yaml, though no default lists it."""

import pytest


@pytest.mark.parametrize(
    ("section", "name", "declared", "other", "phase", "entry"),
    [
        ("methods", "kd", "eval", "batch", "student", "method"),
        ("methods", "reviewkd", "batch", "eval", "student", "method"),
        ("searches", "distpro", "eval", "batch", "search", "search"),
    ],
)
def test_a_teacher_bn_in_params_yaml_changes_the_runs_of_its_component_alone(
    planned, section, name, declared, other, phase, entry
):
    """The declared value, written out, changes no digest."""
    plain, same, changed = (
        planned(**({section: {name: {"teacher_bn": mode}}} if mode else {}))
        for mode in (None, declared, other)
    )
    new = [run for key, run in changed.runs.items() if key not in plain.runs and run.phase == phase]

    assert same.runs.keys() == plain.runs.keys()
    assert new
    for run in new:
        assert getattr(run, entry).name == name
        assert getattr(run, entry).teacher_mode == other
        assert "teacher_bn" not in getattr(run, entry).parameters
