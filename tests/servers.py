"""Servers that do the jobs of tests, as Snakemake's own does those of short scales."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager

from kdbench.cli.server import PACKAGE
from kdbench.workflow.served import SERVER


@contextmanager
def a_server(folder, package=PACKAGE):
    """A server with a socket in the folder; the environment that leads to it."""
    address = folder / "socket"
    path = {"PYTHONPATH": str(package.parent), "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **path, "PYTHONWARNINGS": "error::DeprecationWarning:__main__"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "kdbench.cli.server", str(address)],
        stdin=subprocess.PIPE,
        env=environment,
    )
    while not address.exists():
        assert process.poll() is None
        time.sleep(0.01)
    settings = {"KDBENCH_CHECKPOINT_SECONDS": "0", "KDBENCH_DEVICE": "cpu"}
    yield process, {**os.environ, **path, **settings, SERVER: str(address)}
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert not address.exists(), "the socket of a server that ended"
