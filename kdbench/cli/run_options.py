"""How a command does runs: what its options and the environment say."""

import os
from typing import TYPE_CHECKING

from kdbench.console import say, start_bar
from kdbench.errors import BadValue

if TYPE_CHECKING:
    from kdbench.runs.crew import Crew
    from kdbench.runs.execute import Options

CHECKPOINT_SECONDS = "KDBENCH_CHECKPOINT_SECONDS"


def options_of(max_minutes: float | None, crew: "Crew | None" = None) -> "Options":
    """How to run: what the option and the environment say, with lines and bars for a person.

    Args:
        max_minutes: stop after so long.
        crew: the processes that do it; this one alone by default.
    """
    from kdbench.runs.execute import Options

    options = Options(max_minutes, _checkpoint_seconds(), say, start_bar)
    options.crew = crew or options.crew
    return options


def _checkpoint_seconds() -> float:
    """Seconds between two checkpoints.

    Raises:
        BadValue: the environment says something else.
    """
    text = os.environ.get(CHECKPOINT_SECONDS, "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        advice = f"unset {CHECKPOINT_SECONDS} or set it to 60"
        raise BadValue(f"environment, {CHECKPOINT_SECONDS}", text, "a number of seconds", advice)
    return seconds
