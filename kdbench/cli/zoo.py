"""`kdbench zoo`: the table of all networks, or one network."""

from typing import Annotated

import typer

from kdbench.console import say

MOST = 10_000_000  # classes


def zoo_command(
    network: Annotated[
        str | None, typer.Argument(help="Print this network alone; write nothing.")
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, help="Outputs of NETWORK; by default as in the table."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if the page is out of date.")
    ] = False,
) -> None:
    """Write docs/zoo.md: parameters, operations and stages of every network.

    With NETWORK, print those of one, which may be of a plug-in that params.yaml names.

    Example: kdbench zoo wrn-16-2 --classes 10
    """
    from kdbench.cli.networks_page import check_zoo, lines_of, write_zoo
    from kdbench.errors import BadValue

    if network is None:
        if classes is not None:
            raise BadValue("--classes", classes, "a network to go with it")
        say(f"{check_zoo()}: up to date" if check else str(write_zoo()))
        return
    if check:
        raise BadValue("--check", network, "no network: all of the page is compared")
    for line in lines_of(network, classes):
        say(line)
