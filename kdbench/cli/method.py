"""`kdbench method`: methods of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from kdbench.console import say

app = typer.Typer(help="Write distillation methods of your own.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Write distillation methods of your own."""


@app.command("new")
def method_new(
    name: Annotated[str, typer.Argument(help="Small letters, digits, underscores.")],
    folder: Annotated[Path, typer.Option(help="Where the two files go.")] = Path("methods"),
) -> None:
    """Write the two files of a new method, ready to run: its loss and its declaration.

    Example: kdbench method new my_loss
    """
    from kdbench.cli.template import write_template

    for file in write_template(name, folder):
        say(str(file))
    say(f"Put into params.yaml:  plugins: [{folder}]")
    say(f"Then:  kdbench check, and  snakemake --cores 2 --config methods_only='[none, {name}]'")
