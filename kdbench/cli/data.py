"""`kdbench data`: prepare data sets and check them."""

from pathlib import Path
from typing import Annotated

import typer

from kdbench.console import download_lines, say

app = typer.Typer(help="Prepare data sets and check them.", no_args_is_help=True)


@app.command("prepare")
def data_prepare(
    name: Annotated[str, typer.Argument(help="The data set, for instance cifar100.")],
    source: Annotated[
        Path | None,
        typer.Option(help="Archive, extracted folder, class folders or folder of zip shards."),
    ] = None,
) -> None:
    """Prepare a data set from a local source, or from its official archive (downloaded).

    The result lies in data/NAME and is the same whatever the source.

    Example: kdbench data prepare cifar100 --source ~/Downloads/cifar-100-python.tar.gz
    """
    from kdbench.phases.data import stored
    from kdbench.plan.paths import Paths

    data = stored(Paths().data, name, source, download_lines(name))
    counts = ", ".join(f"{len(data.labels(split))} {split}" for split in data.splits)
    say(f"{name}: {counts} images, {len(data.classes)} classes, fingerprint {data.fingerprint}")


@app.command("verify")
def data_verify(name: Annotated[str, typer.Argument(help="The data set.")]) -> None:
    """Compute a prepared data set's fingerprint anew and compare.

    Example: kdbench data verify cifar100
    """
    from kdbench.data.dataset import verify
    from kdbench.plan.paths import Paths

    say(f"{name}: whole, fingerprint {verify(Paths().data / name)}")
