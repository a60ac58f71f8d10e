"""`kdbench data`: prepare, check and list data sets."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.console import download_lines, fail, say
from kdbench.errors import UserError

if TYPE_CHECKING:
    from kdbench.data.stored.open import Stored
    from kdbench.plan.components import Components

app = typer.Typer(help="Prepare data sets, check them, list them.", no_args_is_help=True)


@app.command("prepare")
def data_prepare(
    name: Annotated[str, typer.Argument(help="The data set, for instance cifar100.")],
    source: Annotated[
        Path | None,
        typer.Option(help="Archive, extracted folder, class folders or folder of zip shards."),
    ] = None,
) -> None:
    """Prepare a data set from a local source, or from its official archive (downloaded).

    The result is in data/NAME and is the same for every source.

    Example: kdbench data prepare cifar100 --source ~/Downloads/cifar-100-python.tar.gz
    """
    from kdbench.data.ingest.prepare import provide
    from kdbench.store.paths import Paths

    declared = _components().get("dataset", name, where="data").described
    before = _fingerprint(Paths().data / name)
    data = provide(Paths().data, declared, source, progress=download_lines(name))
    counts = ", ".join(f"{len(data.labels(split))} {split}" for split in data.splits)
    say(f"{name}: {counts} images, {len(data.classes)} classes, fingerprint {data.fingerprint}")
    if before not in (None, data.fingerprint):
        say(
            f"{name}: these images differ from the earlier ones ({before}); runs that need the "
            "earlier ones stop and say what to do"
        )
    _say_notes(name, data)


@app.command("new")
def data_new(
    name: Annotated[str, typer.Argument(help="Small letters, digits, - and _.")],
    source: Annotated[
        Path,
        typer.Option(
            help="Folder with train/<class>/ and test/<class>/, with <class>/ alone (and "
            "--test-share), or with parquet files."
        ),
    ],
    size: Annotated[
        int | None,
        typer.Option(min=8, max=512, help="Side in pixels; by default the images' own."),
    ] = None,
    test_share: Annotated[
        float | None, typer.Option(min=0.01, max=0.9, help="Share to split off as test images.")
    ] = None,
    image: Annotated[str | None, typer.Option(help="Column of a parquet file.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of a parquet file.")] = None,
    folder: Annotated[Path, typer.Option(help="Where the two files go.")] = Path("datasets"),
) -> None:
    """Write the two files of your own data set from its image folder, and prepare it.

    Example: kdbench data new flowers --source photos --size 64
    """
    from kdbench.cli.data_set import write_data_set
    from kdbench.data.ingest.prepare import provide
    from kdbench.plan.components import find_components
    from kdbench.store.paths import Paths

    columns = {key: value for key, value in (("image", image), ("label", label)) if value}
    declared = {
        **({"test_share": test_share} if test_share else {}),
        **({"keys": columns} if columns else {}),
    }
    files, content = write_data_set(name, source, folder, size, declared)
    for file in files:
        say(str(file))
    described = find_components([str(folder)]).get("dataset", name, where="data").described
    data = provide(Paths().data, described, source)
    counts = ", ".join(f"{count} {split}" for split, count in sorted(content.splits.items()))
    say(f"{name}: {counts} images, {len(content.classes)} classes, fingerprint {data.fingerprint}")
    _say_notes(name, data)
    say(f"Put into params.yaml:  plugins: [{folder}]  and  datasets: [{name}]")
    say(f"and a table of your own with  dataset: {name}  (docs/own-data.md)")


@app.command("verify")
def data_verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Data sets; by default all that are prepared.")
    ] = None,
) -> None:
    """Compare prepared data sets with their hashes; an error if any is damaged.

    Example: kdbench data verify cifar10 cifar100
    """
    from kdbench.data.ingest.catalogue import check, prepared_below
    from kdbench.store.paths import Paths

    folder, components = Paths().data, _components()
    known, exit_code = components.names("dataset"), 0
    checked = names or list(prepared_below(folder))
    if not checked:
        say(f"{folder}: no data set is prepared; kdbench data list says how to get them")
    for name in checked:
        declared = (
            components.get("dataset", name, where="data").described
            if name in known or names
            else None
        )
        try:
            say(f"{name}: intact, fingerprint {check(folder / name, declared)}")
        except UserError as error:
            exit_code = fail(error)
    raise typer.Exit(exit_code)


@app.command("decode")
def data_decode(
    name: Annotated[str, typer.Argument(help="A prepared data set of encoded images.")],
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes; by default as many as in training.")
    ] = None,
) -> None:
    """Decode every image once; name and count those that fail, an error if any does.

    Example: kdbench data decode imagenet
    """
    from kdbench.data.loaders.streaming import default_workers
    from kdbench.data.loaders.survey import damaged_images
    from kdbench.data.stored.open import open_data
    from kdbench.data.stored.shards import Sharded
    from kdbench.store.paths import Paths

    data, total = open_data(Paths().data / name), 0
    if not isinstance(data, Sharded):
        say(f"{name}: its images were decoded when it was prepared; kdbench data verify {name}")
        return
    for split in data.splits:
        images, damaged = data.encoded(split), 0
        for line in damaged_images(images, default_workers() if workers is None else workers):
            damaged += 1
            say(f"{name}, {split}: {line}")
        say(f"{name}, {split}: {damaged} of {len(images)} images cannot be decoded")
        total += damaged
    raise typer.Exit(3 if total else 0)


@app.command("list")
def data_list(
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list, for programs.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="The table of docs/data.md, without this machine.")
    ] = False,
) -> None:
    """List all data sets: whether they are prepared, how large, and how to get them.

    Example: kdbench data list
    """
    from kdbench.data.ingest.catalogue import as_markdown, as_table, describe, stand_ins_below
    from kdbench.plan.scales import SCALES
    from kdbench.store.paths import Paths

    paths, components = Paths(), _components()
    declarations = [
        components.get("dataset", name, where="data").described
        for name in components.names("dataset")
    ]
    if markdown:
        say(as_markdown(declarations))
        return
    entries = []
    for declared in declarations:
        name = declared["name"]
        artifacts = [paths.folders(scale, "data", name)[1] for scale in SCALES]
        has_stand_in = any(map(stand_ins_below, artifacts))
        entries.append(describe(declared, paths.data / name, has_stand_in))
    say(
        json.dumps([asdict(entry) for entry in entries], indent=1) if as_json else as_table(entries)
    )


def _say_notes(name: str, data: "Stored") -> None:
    """Say which images stand in a prepared data set more than once, and what else may mislead."""
    from kdbench.data.stored.twins import in_words, known_twins, other_copies
    from kdbench.data.stored.validation import misleading_numbers

    images = {split: len(data.labels(split)) for split in data.splits}
    twins = in_words(known_twins(data), images)
    for sentence in (twins, other_copies(data), misleading_numbers(data.classes)):
        if sentence:
            say(f"{name}: {sentence}")


def _fingerprint(folder: Path) -> str | None:
    """The fingerprint of the prepared data in a folder; None if they are absent or incomplete."""
    from kdbench.store.prepared import read_meta

    try:
        return str(read_meta(folder)["fingerprint"])
    except (UserError, KeyError):
        return None


def _components() -> "Components":
    """The package's components and, in a project folder, those of its plug-ins."""
    from kdbench.plan.components import find_components
    from kdbench.plan.params import FILE, load_params

    return find_components(load_params(Path(FILE)).plugins if Path(FILE).is_file() else ())
