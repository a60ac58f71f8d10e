"""Where images lie in a source: folders of classes, or zip shards of such folders."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from kdbench.data.archive import members
from kdbench.data.disk import plain_errors
from kdbench.data.download import matches
from kdbench.data.images import SUFFIXES, Picture
from kdbench.errors import DamagedData

SUMS = "SHA256SUMS"
AGAIN = "get the file again from its source"


def class_folders(source: Path, splits: Collection[str]) -> Iterator[Picture] | None:
    """Pictures of `<split>/<class>/<name>.png` (or .webp, .bmp); None if there are no such folders.

    Files of other kinds and hidden ones are passed over.
    """
    if not any((source / split).is_dir() for split in splits):
        return None
    return _walk(source, splits)


def _walk(source: Path, splits: Collection[str]) -> Iterator[Picture]:
    with plain_errors(source):
        for split in sorted(splits):
            for path in sorted((source / split).glob("*/*")):
                picture = _picture(path.relative_to(source).as_posix(), splits, path)
                if picture is not None and path.is_file():
                    yield picture._replace(data=path.read_bytes())


def zip_shards(source: Path, splits: Collection[str]) -> Iterator[Picture] | None:
    """Pictures of `<split>-<n>.zip`, whose members are as in `class_folders`; None without shards.

    Raises:
        DamagedData: as soon as it is read, a shard that differs from its line in `SHA256SUMS`, is
            named there but absent, or is broken.
    """
    shard = re.compile(rf"({'|'.join(map(re.escape, splits))})-\d+\.zip")
    shards = sorted(path for path in source.glob("*.zip") if shard.fullmatch(path.name))
    return _unzip(source, shards, splits) if shards else None


def _unzip(source: Path, shards: list[Path], splits: Collection[str]) -> Iterator[Picture]:
    if (source / SUMS).is_file():
        _check_sums(source / SUMS, shards)
    for shard in shards:
        for name, data in members(shard):
            picture = _picture(name, splits, f"{shard}, member {name!r}")
            if picture is not None:
                yield picture._replace(data=data)


def _picture(name: str, splits: Collection[str], where: object) -> Picture | None:
    """What a path below the source says; None for what is not a picture of a split."""
    path = PurePosixPath(name)
    if len(path.parts) != 3 or path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
        return None
    split, label, _ = path.parts
    return Picture(split, label, str(where), b"") if split in splits else None


def _check_sums(sums: Path, shards: list[Path]) -> None:
    """Compare every shard with its line `<sha256>  <name>`."""
    with plain_errors(sums):
        lines = [line.split() for line in sums.read_text("utf-8", "replace").splitlines()]
    listed = {line[1].lstrip("*"): line[0] for line in lines if len(line) == 2}
    present = {shard.name: shard for shard in shards}
    for name in sorted({name for name in listed if name.endswith(".zip")} - set(present)):
        raise DamagedData(sums, f"{name} listed but absent", "every listed shard", AGAIN)
    for name, shard in present.items():
        if name not in listed:
            raise DamagedData(sums, f"no line for {name}", "a checksum of every shard", AGAIN)
        if not matches(shard, f"sha256:{listed[name]}"):
            raise DamagedData(shard, "another checksum", f"the one in {SUMS}", AGAIN)
