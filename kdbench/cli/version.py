"""`kdbench --version`: which kdbench this is, and from which commit."""

from typing import Annotated

import typer

from kdbench.console import say


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        say(f"kdbench {version('kdbench')}")
        raise typer.Exit()


def version_option(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Regenerate the tables and figures of papers that search how to distil knowledge.

    Run it in a project folder, beside params.yaml.
    """
