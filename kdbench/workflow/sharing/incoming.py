"""A record from elsewhere, checked by digest, seal and hash."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kdbench.errors import DamagedData
from kdbench.store.artifacts import checked
from kdbench.store.canonical import digest_of
from kdbench.store.identity import digest_of_record
from kdbench.store.paths import MANIFEST, Paths
from kdbench.store.place import Place, place_of
from kdbench.store.record import Seal, parse_record, seal_of

ADVICE = "ask who sent it for the file as its run wrote it"
KEYS = ("spec", "metrics", "cost", "provenance", "artifacts")


@dataclass(frozen=True)
class Incoming:
    """A record that was checked.

    Attributes:
        place: where its files belong.
        content: the record.
        written: the bytes of its file.
        artifacts: the folder of its artifacts, checked; None where they did not come along.
    """

    place: Place
    content: Mapping[str, Any]
    written: bytes
    artifacts: Path | None


def examine(file: Path, source: Paths) -> Incoming:
    """Check a record and its artifacts.

    Args:
        file: the record.
        source: the folder that it came in.

    Raises:
        DamagedData, BadValue: it was changed after its run, is another run's than its name says,
            or its artifacts are not those that it lists.
    """
    written = file.read_bytes()
    content = parse_record(written, file)
    _check_seal(file, content)
    place = _checked_place(file, content, source)
    manifest = source.manifest(place)
    if not manifest.is_file():
        return Incoming(place, content, written, None)
    folder = manifest.parent
    if unsafe := [name for name in content["artifacts"] if not _is_inside(name)]:
        raise DamagedData(file, unsafe[0], "names of files inside the run's folder", ADVICE)
    if checked(folder) != content["artifacts"]:
        raise DamagedData(folder / MANIFEST, "other artifacts", "those of the record", ADVICE)
    return Incoming(place, content, written, folder)


def read_inputs(record: Mapping[str, Any]) -> dict[str, str]:
    """Digests of the artifacts that a run read, by the digest of the run that wrote them."""
    upstream = record["spec"]["upstream"]
    inputs = record["provenance"].get("inputs") or {}
    return {upstream[role]: digest for role, digest in inputs.items() if role in upstream}


def artifacts_digest(record: Mapping[str, Any]) -> str:
    """The digest by which later runs name a record's artifacts."""
    return digest_of(record["artifacts"])


def _check_seal(file: Path, content: Mapping[str, Any]) -> None:
    state = seal_of(content)
    if state is not Seal.INTACT:
        verb = "is " if state is Seal.ABSENT else ""
        found = f"a record that {verb}{state.value}"
        raise DamagedData(file, found, "one with its seal", ADVICE)
    missing = [key for key in KEYS if not isinstance(content.get(key), Mapping)]
    if missing:
        raise DamagedData(f"{file}, {missing[0]}", "nothing", "what every run writes", ADVICE)


def _checked_place(file: Path, content: Mapping[str, Any], source: Paths) -> Place:
    """Where the record belongs: its name, its digest and its content must agree."""
    spec = content["spec"]
    place = place_of(spec, file)
    try:
        digest = digest_of_record(spec)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = f"no specification ({type(error).__name__}: {error})"
        raise DamagedData(f"{file}, spec", reason, "a run's specification", ADVICE) from None
    if digest != place.digest:
        expected = f"digest {digest}, by its parameters"
        raise DamagedData(f"{file}, spec", f"digest {place.digest}", expected, ADVICE)
    right = source.record(place)
    if file.resolve() != right.resolve():
        raise DamagedData(file, "this path", f"{right}, by its content", ADVICE)
    return place


def _is_inside(name: str) -> bool:
    """Whether a manifest's name is that of a file inside the folder, and none of the store's."""
    path = PurePosixPath(name)
    parts = path.parts
    hidden = any(part.startswith(".") for part in parts)  # ".." too
    return bool(parts) and not path.is_absolute() and not hidden and "\\" not in name
