"""A server that forks a process for each of Snakemake's jobs, with torch imported already.

    python -m kdbench.cli.server /path/of/its/socket '{"scale": "smoke"}'

Where a run takes seconds, starting Python and torch costs more than the run. So does planning: the
plan of params.yaml, with what the second argument says over it, is made once too. Snakemake's
process starts one server; it ends when its standard input is closed, however Snakemake ends. A job
is a process of its own all the same: it fails, stops and is killed alone, and it has the working
folder, the environment and the output of the command that asked for it.
"""

import atexit
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from kdbench.cli import main
from kdbench.errors import UserError
from kdbench.workflow.served import HEADER, REFUSED, SERVER

PACKAGE = Path(__file__).parents[1]
# What nearly every run imports, torch's compiler included: its optimisers do. The server only
# imports: threads that a computation starts would be missing in the forked processes.
MODULES = ("kdbench.runs.execute", "torch._dynamo", "torch.utils.flop_counter")


def serve(address: Path, overrides: Mapping[str, Any]) -> None:
    """Answer until standard input is closed.

    Args:
        address: of its socket.
        overrides: what the jobs' plan says over params.yaml.
    """
    os.environ.pop(SERVER, None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the jobs get it themselves
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no process waits to be asked how it ended
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(address))
        listener.listen(64)  # clients that come while torch is imported wait
        state = _code()
        _import_all()
        _prepare(overrides)
        gc.freeze()  # a collection in a forked process touches, and so copies, none of these
        with selectors.DefaultSelector() as ready:
            ready.register(listener, selectors.EVENT_READ)
            ready.register(sys.stdin, selectors.EVENT_READ)
            while all(key.fileobj is listener for key, _ in ready.select()):
                client, _ = listener.accept()
                with client:
                    if not os.fork():
                        listener.close()
                        _work(client, fresh=_code() == state)


def _import_all() -> None:
    from kdbench.plan.components import find_components

    for name in MODULES:
        importlib.import_module(name)
    components = find_components()
    for kind in ("network", "method", "search"):
        for name in components.names(kind):
            importlib.import_module(components.get(kind, name, where="server").module)


def _prepare(overrides: Mapping[str, Any]) -> None:
    """What every job begins with: it plans, and reads the code that its records name."""
    from kdbench.plan.graph import keep_graph
    from kdbench.store.fingerprint import read_code

    with suppress(UserError):  # the jobs say so
        keep_graph(overrides=overrides)
    read_code()


def _code() -> list[tuple[str, int]]:
    """Every source file and declaration with its time: records name the code on the disk."""
    files = chain(PACKAGE.rglob("*.py"), PACKAGE.rglob("*.toml"))
    return sorted((str(path), path.stat().st_mtime_ns) for path in files)


def _work(client: socket.socket, fresh: bool) -> None:
    """Do what a client asks for, in a process of its own; never returns."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _take_place(client)
        code = _command(client) if fresh else REFUSED
        atexit._run_exitfuncs()  # what the interpreter does at its end
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        try:
            client.sendall(bytes([code]))
        finally:
            os._exit(0)


def _take_place(client: socket.socket) -> None:
    """Take the client's output, folder, environment and words for this process's own."""
    header, files, _, _ = socket.recv_fds(client, HEADER, maxfds=2)
    for number, file in enumerate(files, start=1):
        os.dup2(file, number)
        os.close(file)
    with client.makefile("rb") as stream:
        message = json.loads(stream.read(int.from_bytes(header, "big")))
    os.chdir(message["folder"])
    os.environ.clear()
    os.environ.update(message["environment"])
    sys.argv[:] = message["words"]


def _command(client: socket.socket) -> int:
    threading.Thread(target=_obey, args=(client,), daemon=True).start()
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _obey(client: socket.socket) -> None:
    """Send this process the signals that its client gets; stop it when the client is gone."""
    while number := client.recv(1):
        os.kill(os.getpid(), number[0])
    os.kill(os.getpid(), signal.SIGTERM)


def _remove(address: Path) -> None:
    """Delete the socket, and its folder if that was made for it alone."""
    address.unlink(missing_ok=True)
    with suppress(OSError):  # other files lie there
        address.parent.rmdir()


if __name__ == "__main__":
    try:
        serve(Path(sys.argv[1]), json.loads(sys.argv[2]) if sys.argv[2:] else {})
    finally:  # jobs never come here: they end in `_work`
        _remove(Path(sys.argv[1]))
