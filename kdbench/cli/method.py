"""`kdbench method`: methods of your own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from kdbench.console import say
from kdbench.errors import UserError

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
    from kdbench.plan.params import FILE

    for file in write_template(name, folder):
        say(str(file))
    say(f"Put into params.yaml:  plugins: [{folder}]")
    if Path(FILE).is_file():
        for line in _costs(name, folder):
            say(line)
    say(f"Try it:  kdbench check {name}")
    table = """'exhibits=["distpro/table1"]'"""
    methods = f"""'methods_only=["none","kd","{name}"]'"""
    say(f"Train it in one table:  snakemake --cores 2 reproduce_all --config {table} {methods}")


def outside_plugins(name: str) -> str:
    """Advice where a declaration of that name lies in a folder that params.yaml does not name."""
    from kdbench.plan.params import FILE, load_params

    file = next(Path().glob(f"*/{name}.toml"), None) if name.isidentifier() else None
    try:
        plugins = load_params(Path(FILE)).plugins if file else []
    except UserError:
        return ""
    if file is None or file.parent.resolve() in [Path(folder).resolve() for folder in plugins]:
        return ""
    folders = ", ".join([*plugins, file.parent.name])
    return f"; {file} is here: put into params.yaml  plugins: [{folders}]"


def _costs(name: str, folder: Path) -> Iterator[str]:
    """A line per scale: what the method will add to the plan of the params.yaml that is here."""
    from kdbench.plan.graph import load_graph
    from kdbench.plan.params import FILE, load_params
    from kdbench.plan.scales import SCALES
    from kdbench.store.paths import Paths
    from kdbench.workflow.added_rows import added_by, in_words

    try:
        plugins = [*dict.fromkeys([*load_params(Path(FILE)).plugins, str(folder)])]
        for scale in SCALES:
            graph = load_graph(Path(), {"plugins": plugins, "scale": scale})
            added = added_by(graph, [name], Paths())
            yield f"At scale {scale} it {in_words(added, graph.scale.stand_in)}"
    except UserError as error:
        say(f"What it adds is not known, because the plan cannot be made: {error}")
