"""`kdbench zoo`: the table of all networks."""

from typing import Annotated

import typer

from kdbench.console import say


def zoo_command(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if the page is out of date.")
    ] = False,
) -> None:
    """Write docs/zoo.md: parameters, operations and stages of every network.

    Example: kdbench zoo --check
    """
    from kdbench.cli.networks_page import check_zoo, write_zoo

    say(f"{check_zoo()}: up to date" if check else str(write_zoo()))
