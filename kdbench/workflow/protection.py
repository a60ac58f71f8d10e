"""What every call of Snakemake does with finished runs, whatever profile or options it has.

Profiles are replaced by people who have a cluster. So what keeps finished records is set here,
after Snakemake has read its profile and its command line and before it plans.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kdbench.console import fail
from kdbench.errors import UserError

LOCK = ".snakemake/kdbench-{scale}.lock"


def protect(workflow: Any, scale: str, root: Path = Path()) -> None:
    """Make a Snakemake workflow plan missing runs and delete no record.

    A record's name carries the digest of its run and is written last and whole, so that the file is
    there says all: neither times of other files, nor code, nor Snakemake's own notes on a job that
    was killed may decide. At one scale one call works at a time, held by a lock that the kernel
    frees, however the call ends; Snakemake's own stays after a kill.

    Args:
        workflow: Snakemake's, as its Snakefile sees it.
        scale: in force.
        root: the project's folder.
    """
    execute = workflow.execute

    def protected(*given: Any, executor_plugin: Any, **others: Any) -> Any:
        _settle(workflow)
        settings = executor_plugin.common_settings
        first = workflow.exec_mode == workflow.exec_mode.DEFAULT
        if not first or settings.dryrun_exec or settings.touch_exec:  # a job of a call, or no work
            return execute(*given, executor_plugin=executor_plugin, **others)
        with _alone(root / LOCK.format(scale=scale), scale) as locked:
            workflow.execution_settings.lock &= not locked
            return execute(*given, executor_plugin=executor_plugin, **others)

    workflow.execute = protected


def _settle(workflow: Any) -> None:
    from snakemake.dag import DAG
    from snakemake.settings.types import RerunTrigger

    # Snakemake has no setting for this.
    DAG.check_output_mtime = _look_at_no_time
    _spare_work(workflow)
    workflow.dag_settings.rerun_triggers = frozenset({RerunTrigger.MTIME})
    workflow.dag_settings.force_incomplete = False
    workflow.execution_settings.ignore_incomplete = True
    workflow.execution_settings.keep_incomplete = True


def _spare_work(workflow: Any) -> None:
    """Leave out two things that Snakemake does per job, a sixth of the time of a large plan.

    It looks at the signatures of the same few functions eight times, and evaluates all parameters
    to find Conda environments, though no rule names one. Another version may do neither.
    """
    from snakemake import rules
    from snakemake.dag import DAG

    if signature := getattr(rules, "get_function_params", None):
        rules.get_function_params = cache(signature)
    if not any(getattr(rule, "conda_env", True) for rule in workflow.rules):
        DAG.update_conda_envs = _find_none


def _find_none(dag: Any) -> None:
    """In place of looking for the Conda environments of all jobs."""


async def _look_at_no_time(dag: Any, job: Any, outputs: Any) -> None:
    """In place of the check that a job's output is newer than its input.

    A clock that was ahead for a while, here or on another machine, leaves records of the future:
    every job that reads one would fail after it did its work.
    """


@contextmanager
def _alone(file: Path, scale: str) -> Iterator[bool]:
    """Hold the lock of a scale, or end with one line where another call does.

    Returns:
        False where the file system has no such locks.
    """
    lock = FileLock(file, mode=0o666, fallback_to_soft=False)
    try:
        file.parent.mkdir(exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        who = f"another Snakemake is running in this folder at scale {scale}"
        sys.exit(fail(UserError(f"{who}; wait until it has ended, or stop it with Ctrl-C")))
    except (NotImplementedError, OSError):
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
