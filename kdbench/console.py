"""What people see: progress bars on a terminal, plain lines elsewhere, one line for an error."""

import atexit
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper

from kdbench.errors import UserError

LINE_EVERY = 30.0  # seconds between two plain lines
DOWNLOAD_EVERY = 5.0


def print_what_can_be() -> None:
    """Have output of another encoding than UTF-8 show "?" for what it has no letter for."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.encoding.lower() not in ("utf-8", "utf8"):
            with suppress(OSError):  # a served run writes to a pipe that was opened otherwise
                stream.reconfigure(errors="replace")


def say(text: str) -> None:
    """Print one line at once, also into a file."""
    print(text, flush=True)


def start_bar(title: str, total: int, done: int) -> Callable[[], None]:
    """Show a training's progress; returns what to call after every step."""
    return _bar(title, total, done) if sys.stdout.isatty() else _lines(title, total, done)


@contextmanager
def screen(*, live: bool) -> Iterator[Callable[[Sequence[str]], None]]:
    """Give a function that shows lines: on a terminal they take the place of those before.

    Args:
        live: whether it is called again and again.
    """
    if not (live and sys.stdout.isatty()):
        yield lambda lines: say("\n".join(lines))
        return
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as display:
        yield lambda lines: display.update(Text("\n".join(lines)), refresh=True)


def _bar(title: str, total: int, done: int) -> Callable[[], None]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    progress = Progress(
        "{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    )
    task = progress.add_task(title, total=total, completed=done)
    progress.start()
    atexit.register(progress.stop)  # the cursor comes back after an error as well
    left = total - done

    def tick() -> None:
        nonlocal left
        left -= 1
        progress.advance(task)
        if left <= 0:
            progress.stop()

    return tick


def _lines(title: str, total: int, done: int) -> Callable[[], None]:
    started = spoken = time.monotonic()
    begun = done
    if done:
        say(f"{title}: continues at step {done} of {total}")

    def tick() -> None:
        nonlocal done, spoken
        done += 1
        now = time.monotonic()
        if now - spoken >= LINE_EVERY:
            spoken = now
            left = (now - started) / (done - begun) * (total - done)
            say(f"{title}: step {done} of {total}, {left / 60:.1f} min left")

    return tick


def download_lines(title: str) -> Callable[[int, int | None], None]:
    """Say now and then how far a download is."""
    spoken = time.monotonic()

    def show(done: int, total: int | None) -> None:
        nonlocal spoken
        if time.monotonic() - spoken >= DOWNLOAD_EVERY:
            spoken = time.monotonic()
            of = f" of {total / 1e6:.0f}" if total else ""
            say(f"{title}: downloaded {done / 1e6:.0f}{of} MB")

    return show


def fail(error: UserError) -> int:
    """Print an error as one line on standard error; returns the exit code.

    What a terminal would obey, such as an escape in a file's name, is spelled out.
    """
    line = " ".join(str(error).split())
    plain = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    print(f"kdbench: {plain}", file=sys.stderr, flush=True)
    return error.exit_code
