"""The one entry to preparing: from a given source, by download, or a stand-in."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdbench.data.ingest.download import Progress, fetch
from kdbench.data.stored.open import Stored, open_data
from kdbench.data.stored.twins import note_twins
from kdbench.errors import BadValue
from kdbench.plan.components import find_components
from kdbench.plan.plugins import load_function

# Keys of [smoke] that the plan reads; all others are arguments of the stand-in's function.
PLANNED = ("stand_in", "augment", "batch", "modality", "module")


def provide(
    folder: Path,
    declared: Mapping[str, Any],
    source: Path | None = None,
    *,
    progress: Progress | None = None,
) -> Stored:
    """The prepared copy of a data set in `folder`; prepared first where it is absent.

    Args:
        folder: where a project keeps prepared data, each set in a folder of its name.
        declared: see `prepare`.
        source: a local copy, which is then prepared anew; without one the official archive is
            downloaded if need be. For a data set with a `base` it is the base's.
        progress: called during a download with bytes so far and in all.

    Raises:
        UserError: it is absent and its archive cannot be had; the message says how to prepare it
            from a local copy.
    """
    target = folder / declared["name"]
    if source is not None or not (target / "meta.json").is_file():
        if declared.get("base"):
            source = _base(folder, declared, source, progress)
        prepare(declared, source, target, progress=progress)
    return open_data(target)


def _base(
    folder: Path, declared: Mapping[str, Any], source: Path | None, progress: Progress | None
) -> Path:
    """The prepared folder of the data set that another one is made of."""
    place = f"{declared['name']}, base"
    base = find_components().get("dataset", declared["base"], where=place).described
    provide(folder, base, source, progress=progress)
    return folder / str(declared["base"])


def prepare(
    declared: Mapping[str, Any],
    source: Path | None,
    out: Path,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> str:
    """Prepare a data set from a source, or from its official archive after a download.

    Its twins are counted then, see `kdbench.data.stored.twins`.

    Args:
        declared: its declaration with `name` and `module`: a dotted name, or the path of a
            plug-in's .py file. The module has `prepare(source, out, declared) -> fingerprint`.
        source: archive or folder; None downloads.
        out: the prepared folder; it appears whole or not at all.
        cache: where a downloaded archive stays; by default the user's cache folder.
        progress: called during a download with bytes so far and in all.

    Returns:
        The fingerprint.

    Raises:
        UserError: one line that says what is wrong with source, download, disk or plug-in.
    """
    prepare_set = load_function(declared["module"], "prepare", data_set=declared["name"])
    if source is None:
        source = _download(declared, cache or default_cache(), progress)
    fingerprint: str = prepare_set(source, out, declared)
    note_twins(out)
    return fingerprint


def prepare_stand_in(
    name: str, smoke: Mapping[str, Any], stand_in: Mapping[str, Any], out: Path
) -> str:
    """Prepare what stands in for a data set at scale smoke.

    Args:
        name: the data set.
        smoke: the section of its declaration that says so; all but its `stand_in` and `augment`
            goes to the stand-in's module.
        stand_in: the stand-in's declaration, see `prepare`. Its module has
            `prepare_stand_in(out, *, name, ...) -> fingerprint`.
        out: the prepared folder.

    Returns:
        The fingerprint.

    Raises:
        BadValue: the module cannot do that.
        UserError: the disk is full.
    """
    draw = load_function(stand_in["module"], "prepare_stand_in", data_set=stand_in["name"])
    arguments = {key: value for key, value in smoke.items() if key not in PLANNED}
    fingerprint: str = draw(out, name=name, **arguments)
    return fingerprint


def default_cache() -> Path:
    """Where downloads stay: `$XDG_CACHE_HOME/kdbench`, by default `~/.cache/kdbench`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kdbench"


def _download(declared: Mapping[str, Any], cache: Path, progress: Progress | None) -> Path:
    archive = declared.get("archive", {})
    if not {"url", "checksum"} <= set(archive):
        found = f"no {' and no '.join(key for key in ('url', 'checksum') if key not in archive)}"
        expected = "both to download it by, or a source"
        raise BadValue(f"{declared['name']}, archive", found, expected, declared.get("how", ""))
    target = cache / archive["url"].rpartition("/")[2]
    return fetch(archive["url"], target, archive["checksum"], archive.get("size"), progress)
