"""The command line, as `kdbench` and as `python -m kdbench`."""

import os
import signal
import sys


def main() -> None:
    """Do what the command line asks for: in a process of Snakemake's server, if there is one."""
    from kdbench.workflow.served import SERVER, ask_server

    alone = "RANK" not in os.environ  # a rank of several is a process of its own
    if alone and SERVER in os.environ and sys.argv[1:2] == ["run"]:
        code = ask_server()
        if code is not None:
            sys.exit(code)
    try:
        from kdbench.cli import main as command  # a third of a second

        command()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
