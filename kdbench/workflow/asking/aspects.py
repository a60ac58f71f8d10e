"""Everything that may make a number another one, sorted: every key of a digest has an aspect.

`IRRELEVANT` lists the keys that cannot differ between a cell and the same cell as published.
"""

import re
from collections.abc import Mapping
from typing import Any

from kdbench.store.canonical import canonical
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import EvaluationRun
from kdbench.workflow.asking.difference import Values, changed, flat, given

# Aspect -> pattern of the dotted keys of a run's parameters and revisions.
ASPECTS: Mapping[str, str] = {
    "data and scale": r"(stand_in|dataset)\..*|train_share|task",
    "epochs": r"recipe\.(epochs|milestones|warmup_epochs|steps_per_epoch|evaluate_every)",
    "protocol": (
        r"recipe\.(name|batch|lr|schedule|gamma|optimiser|momentum|nesterov|weight_decay|augment"
        r"|view|modality)"
    ),
    "reported epoch": r"recipe\.reported",
    "normalisation": r"recipe\.(mean|std)",
    "teacher": r"teacher\d*\..*|teacher_epoch|checkpoint",
    "student and networks": r"(student|network)\..*",
    "method": r"method\..*",
    "search": r"search\..*",
    "held-out images": r"held_out",
    "rounding": r"precision|channels_last|threads|fold_teacher|images_at_once|decode",
    "several processes": r"ranks|synchronise_norms",
    "seeds": r"seed|runs",
    "code": r"revision of .*",
}
# Keys of a digest besides its parameters and revisions.
IRRELEVANT: Mapping[str, str] = {
    "phase": "a cell's runs are of the same phases",
    "dataset": "the exhibit's own",
    "upstream": "names other runs, whose keys are compared in their own place",
}


def aspect_of(key: str) -> str | None:
    """The aspect that a dotted key belongs to; None where no aspect has it.

    >>> aspect_of("recipe.epochs"), aspect_of("moon")
    ('epochs', None)
    """
    matches = (name for name, pattern in ASPECTS.items() if re.fullmatch(pattern, key))
    return next(matches, None)


def compared(published: EvaluationRun, here: EvaluationRun) -> dict[str, dict[str, Values]]:
    """What differs between a cell as published and as it is run here.

    Args:
        published: the cell of the plan at scale paper, without overrides.
        here: the same cell of today's plan.

    Returns:
        Aspect -> key -> values there and here; keys begin with the run that has them.
    """
    differences: dict[str, dict[str, Values]] = {name: {} for name in ASPECTS}
    theirs, ours = described(published), described(here)
    for role in {**theirs, **ours}:
        for key, values in changed(theirs.get(role, {}), ours.get(role, {})).items():
            differences[aspect_of(key) or key][f"{role}, {key}"] = values
    return differences


def described(evaluation: EvaluationRun) -> dict[str, dict[str, Any]]:
    """Every run behind an evaluation by its role, with all that its digest is made of.

    Of the measured runs, which differ in the seed alone, the first.
    """
    runs: dict[str, dict[str, Any]] = {"evaluation": _given(evaluation)}
    pending: list[tuple[str, RunSpec]] = [(evaluation.first.phase, evaluation.first)]
    while pending:
        role, run = pending.pop()
        if role not in runs:
            runs[role] = _given(run)
            pending += run.upstream.items()
    return runs


def _given(run: RunSpec) -> dict[str, Any]:
    """Flattened parameters; lists as JSON, so that those of a record and of a plan are equal."""
    values = flat(given({"spec": run.as_dict()}))
    return {k: canonical(v) if isinstance(v, list) else v for k, v in values.items()}
