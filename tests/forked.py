"""Commands in processes of their own that need not import torch: a server forks them.

Each has the folder, the environment, the words and the output that a shell would give it, and ends,
stops and is killed alone. What it imported lies in the server's memory already. Tests of what a new
Python imports start one.
"""

import multiprocessing
import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from kdbench.cli.server import MODULES

COMMAND = "from kdbench.__main__ import main; main()"
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(list(MODULES))


class Forked:
    """A process that runs code as `python -c code *words` does, and what it printed.

    Args:
        code: what it runs.
        words: the command line behind it.
        folder: where it runs.
        settings: variables of the environment beside those of this process.
    """

    def __init__(self, code, words, folder, **settings):
        self._printed = TemporaryDirectory()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **settings}
        given = code, [*map(str, words)], str(folder), environment, self._printed.name
        self._process = _CONTEXT.Process(target=_run, args=given)
        self._process.start()

    @property
    def pid(self):
        """Number of the process."""
        return self._process.pid

    @property
    def returncode(self):
        """As of `subprocess.Popen`."""
        return self._process.exitcode

    def poll(self):
        """The exit code, or None while it runs."""
        return self.returncode

    def send_signal(self, number):
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self):
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout=300):
        """Wait for its end; returns what it printed, and its errors."""
        self._process.join(timeout)
        if self.returncode is None:
            self.kill()
            self._process.join()
            raise TimeoutError(f"still running after {timeout} seconds")
        with self._printed as name:
            return [Path(name, number).read_text() for number in ("1", "2")]


class Done:
    """Exit code and output of a `kdbench` command, once it has ended.

    Args:
        folder: where it runs.
        words: of the command line.
        settings: variables of the environment beside those of this process.
    """

    def __init__(self, folder, *words, **settings):
        process = Forked(COMMAND, words, folder, **settings)
        self.stdout, self.stderr = process.communicate()
        self.returncode = process.returncode


def _run(code, words, folder, environment, printed):
    """Take the place of a new Python: its output, folder, environment and words."""
    for number in (1, 2):
        with Path(printed, str(number)).open("wb") as file:
            os.dup2(file.fileno(), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = ["-c", *words]
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
