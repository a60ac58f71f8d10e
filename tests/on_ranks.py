"""Functions on several ranks of a run: forked processes, which need not import torch again."""

import os
import pickle
import signal
import sys
import tempfile
import traceback
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from kdbench.engine import ranks

PATIENCE = timedelta(seconds=400)


def on_ranks(size, function, *arguments):
    """What `function(*arguments)` gives on each of `size` ranks at work, in their order.

    Raises:
        AssertionError: a rank failed; the text is its traceback.
    """
    if size == 1:
        return [function(*arguments)]
    with tempfile.TemporaryDirectory() as folder:
        children = [_start(rank, size, Path(folder), function, arguments) for rank in range(size)]
        for child in children:
            os.waitpid(child, 0)
        results = [pickle.loads(Path(folder, str(rank)).read_bytes()) for rank in range(size)]
    failures = [text for failed, text in results if failed]
    assert not failures, failures[0]
    return [result for _, result in results]


def _start(rank, size, folder, function, arguments):
    """Fork a rank that writes what it found; returns its number."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    result = True, f"rank {rank} ended without a word"
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # pytest's would go on with the tests here
        signal.alarm(PATIENCE.seconds)
        torch.set_num_threads(1)
        store = dist.FileStore(str(folder / "store"), size)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=PATIENCE)
        with ranks.together(ranks.Ranks(rank, size)):
            result = False, function(*arguments)
    except BaseException:
        result = True, traceback.format_exc()
    finally:
        Path(folder, str(rank)).write_bytes(pickle.dumps(result))
        os._exit(0)
