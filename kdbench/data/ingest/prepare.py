"""The one entry to preparing: from a given source, by download, or a stand-in."""

import importlib
import importlib.util
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kdbench.data.ingest.download import Progress, fetch
from kdbench.data.stored.open import Stored, open_data
from kdbench.errors import BadValue, UnknownName

FOLDER = Path(__file__).parents[1] / "sets"
# Keys of [smoke] that are not for the stand-in's module: who it is, and what the plan reads.
UNDRAWN = ("stand_in", "augment", "module")


def declaration(name: str) -> dict[str, Any]:
    """What `<name>.toml` of this package says, with its `name` and its `module`.

    Raises:
        UnknownName: no data set is called so.
    """
    path = FOLDER / f"{name}.toml"
    known = sorted(path.stem for path in FOLDER.glob("*.toml"))
    if name not in known:
        raise UnknownName("data set", name, known, where="data")
    declared = tomllib.loads(path.read_text(encoding="utf-8"))
    return {**declared, "name": name, "module": f"kdbench.data.sets.{declared.get('module', name)}"}


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
            downloaded if need be.
        progress: called during a download with bytes so far and in all.

    Raises:
        UserError: it is absent and its archive cannot be had; the message says how to prepare it
            from a local copy.
    """
    target = folder / declared["name"]
    if source is not None or not (target / "meta.json").is_file():
        prepare(declared, source, target, progress=progress)
    return open_data(target)


def prepare(
    declared: Mapping[str, Any],
    source: Path | None,
    out: Path,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> str:
    """Prepare a data set from a source, or from its official archive after a download.

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
    call = _function(declared, "prepare")
    if source is None:
        source = _download(declared, cache or default_cache(), progress)
    fingerprint: str = call(source, out, declared)
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
    call = _function(stand_in, "prepare_stand_in")
    drawn = {key: value for key, value in smoke.items() if key not in UNDRAWN}
    fingerprint: str = call(out, name=name, **drawn)
    return fingerprint


def default_cache() -> Path:
    """Where downloads stay: `$XDG_CACHE_HOME/kdbench`, by default `~/.cache/kdbench`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kdbench"


def _function(declared: Mapping[str, Any], called: str) -> Callable[..., str]:
    """A function of a data set's module; a plug-in's is loaded from its file."""
    module = declared["module"]
    if module.endswith(".py"):
        spec = importlib.util.spec_from_file_location(Path(module).stem, module)
        if spec is None or spec.loader is None or not Path(module).is_file():
            raise BadValue(f"data set {declared['name']}", module, "a Python file")
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
    else:
        loaded = importlib.import_module(module)
    if not hasattr(loaded, called):
        expected = f"a function `{called}` in the data set's module"
        raise BadValue(module, f"no {called}", expected)
    function: Callable[..., str] = getattr(loaded, called)
    return function


def _download(declared: Mapping[str, Any], cache: Path, progress: Progress | None) -> Path:
    archive = declared.get("archive", {})
    if not {"url", "checksum"} <= set(archive):
        expected = "a url and a checksum, or a source"
        raise BadValue(f"{declared['name']}, archive", archive, expected, declared.get("how", ""))
    target = cache / archive["url"].rpartition("/")[2]
    return fetch(archive["url"], target, archive["checksum"], archive.get("size"), progress)
