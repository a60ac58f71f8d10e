"""The one entry to preparing: from a given source, by download, or a stand-in."""

import importlib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdbench.data.download import Progress, fetch
from kdbench.errors import BadValue, UnknownName

FOLDER = Path(__file__).parent


def declaration(name: str) -> dict[str, Any]:
    """What `<name>.toml` says, with its `name`.

    Raises:
        UnknownName: no data set is called so.
    """
    path = FOLDER / f"{name}.toml"
    known = sorted(path.stem for path in FOLDER.glob("*.toml"))
    if name not in known:
        raise UnknownName("data set", name, known, where="data")
    return {**tomllib.loads(path.read_text(encoding="utf-8")), "name": name}


def prepare(
    dataset: str | Mapping[str, Any],
    source: Path | None,
    out: Path,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> str:
    """Prepare a data set from a source, or from its official archive after a download.

    Args:
        dataset: its name, or a declaration with `name` and `module`.
        source: archive or folder; None downloads.
        out: the prepared folder; it appears whole or not at all.
        cache: where a downloaded archive stays; by default the user's cache folder.
        progress: called during a download with bytes so far and in all.

    Returns:
        The fingerprint.

    Raises:
        UserError: one line that says what is wrong with source, download or disk.
    """
    declared = declaration(dataset) if isinstance(dataset, str) else dataset
    if source is None:
        source = _download(declared, cache or default_cache(), progress)
    fingerprint: str = _module(declared).prepare(source, out, declared)
    return fingerprint


def prepare_stand_in(dataset: str | Mapping[str, Any], out: Path) -> str:
    """Prepare what stands in for a data set at scale smoke, as its `[smoke]` section says.

    Returns:
        The fingerprint.

    Raises:
        BadValue: the data set has no stand-in.
        UserError: the disk is full.
    """
    declared = declaration(dataset) if isinstance(dataset, str) else dataset
    smoke = declared.get("smoke", {})
    if "stand_in" not in smoke:
        raise BadValue(f"{declared['name']}, smoke", smoke, "a section with `stand_in`")
    drawn = {key: smoke[key] for key in ("split_seed", "test_share", "relabel")}
    module = _module(declaration(smoke["stand_in"]))
    fingerprint: str = module.prepare_stand_in(out, name=declared["name"], **drawn)
    return fingerprint


def default_cache() -> Path:
    """Where downloads stay: `$XDG_CACHE_HOME/kdbench`, by default `~/.cache/kdbench`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kdbench"


def _module(declared: Mapping[str, Any]) -> Any:
    return importlib.import_module(f"kdbench.data.{declared['module']}")


def _download(declared: Mapping[str, Any], cache: Path, progress: Progress | None) -> Path:
    archive = declared.get("archive")
    if archive is None:
        raise BadValue(f"{declared['name']}, archive", None, "a url and a checksum, or a source")
    target = cache / archive["url"].rpartition("/")[2]
    return fetch(archive["url"], target, archive["checksum"], archive.get("size"), progress)
