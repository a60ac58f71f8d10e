"""All ranks of `kdbench run`, started by hand as processes that need not import torch again."""

import socket

from forked import COMMAND, Forked


def start_ranks(project, size, *names, code=COMMAND, codes=None, **settings):
    """Start every rank of a command; alone where there is one.

    Args:
        project: a `TinyProject`.
        size: how many ranks.
        names: of the runs.
        code: what each of them runs.
        codes: what single ranks run instead, by rank.
        settings: variables of the environment.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {
        "WORLD_SIZE": size,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "KDBENCH_DEVICE": "cpu",
        "KDBENCH_CHECKPOINT_SECONDS": "0",
        "KDBENCH_RANK_TIMEOUT": "60",
        **settings,
    }
    words = {key: str(value) for key, value in given.items()}
    return [
        Forked(
            (codes or {}).get(rank, code), ["run", *names], project.root, RANK=str(rank), **words
        )
        for rank in range(size)
    ]


def ended(processes, seconds=200):
    """Exit codes of all ranks, and what they printed, errors last."""
    printed = ["".join(process.communicate(timeout=seconds)) for process in processes]
    return [process.returncode for process in processes], printed
