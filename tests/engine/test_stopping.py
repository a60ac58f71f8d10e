"""When a job must stop."""

import os
import signal
import subprocess
import sys
import time

import pytest

from kdbench.engine.stopping import Stopper


@pytest.fixture
def handlers():
    """Put the process's signal handlers back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_without_a_limit_a_job_goes_on():
    """The first checkpoint is due after its interval, not at once."""
    stopper = Stopper(checkpoint_seconds=1000)

    assert not stopper.must_stop()
    assert not stopper.checkpoint_due()


def test_a_time_limit_stops_and_says_so():
    """In minutes, as it was given."""
    stopper = Stopper(max_seconds=30)
    assert not stopper.must_stop()

    stopper.started -= 31

    assert stopper.must_stop()
    assert stopper.reason == "time limit of 0.5 minutes"


def test_checkpoints_come_at_their_interval():
    """Counted from the last one."""
    stopper = Stopper(checkpoint_seconds=10)
    stopper.saved -= 11
    assert stopper.checkpoint_due()

    stopper.checkpoint_done()

    assert not stopper.checkpoint_due()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_request(handlers, number):
    """Twice the same one in short time, as schedulers send it, is one request."""
    stopper = Stopper()
    stopper.catch_sigterm()
    assert not stopper.must_stop()

    os.kill(os.getpid(), number)
    os.kill(os.getpid(), number)

    assert stopper.must_stop()
    assert stopper.reason == signal.Signals(number).name


def test_a_later_signal_ends_the_process():
    """Where nothing asks the stopper, a person must still be able to stop it."""
    code = (
        "import os, signal, time; from kdbench.engine import stopping\n"
        "stopping.PATIENCE = 0.05\n"
        "stopping.Stopper().catch_sigterm()\n"
        "os.kill(os.getpid(), signal.SIGINT); time.sleep(0.1)\n"
        "os.kill(os.getpid(), signal.SIGINT); time.sleep(30)\n"
    )
    began = time.monotonic()

    done = subprocess.run([sys.executable, "-c", code], timeout=60)

    assert done.returncode == -signal.SIGINT
    assert time.monotonic() - began < 25
