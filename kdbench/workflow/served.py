"""Have a server's process do what this one was asked to; it has imported torch already.

Nothing here is slow to import: that is what it is for. See `kdbench.cli.server`.
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

SERVER = "KDBENCH_SERVER"  # the server's socket, where there is one
REFUSED = 255  # the answer of a server that has older code than the disk
HEADER = 4  # bytes of a message's length


def ask_server() -> int | None:
    """The exit code of this command, done by a process of the server.

    Signals that ask to stop go to that process. Standard output and error are this process's own.

    Returns:
        None where nothing was done, because there is no server or it refused.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        try:
            server.connect(os.environ[SERVER])
            _send(server)
        except OSError:
            return None  # its Snakemake has ended

        def stop(number: int, frame: FrameType | None) -> None:
            server.sendall(bytes([number]))

        numbers = (signal.SIGTERM, signal.SIGINT)
        before = [signal.signal(number, stop) for number in numbers]
        answer = server.recv(1)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    if not answer:
        print("kdbench: the run's process was killed", file=sys.stderr, flush=True)
        return 128 + signal.SIGKILL
    return None if answer[0] == REFUSED else answer[0]


def _send(server: socket.socket) -> None:
    """The command, where it runs, and the files that its output goes to."""
    here = {name: value for name, value in os.environ.items() if name != SERVER}
    message = json.dumps(
        {"words": sys.argv, "folder": str(Path.cwd()), "environment": here}
    ).encode()
    socket.send_fds(server, [len(message).to_bytes(HEADER, "big")], [1, 2])
    server.sendall(message)
