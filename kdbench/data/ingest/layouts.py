"""Pictures sorted into folders of classes, and zip shards of such folders."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from kdbench.data.ingest.decode import Picture, suffixes
from kdbench.data.ingest.download import matches
from kdbench.data.ingest.image_files import AGAIN
from kdbench.data.ingest.tree import ArchiveTree, FolderTree, Tree
from kdbench.data.stored.validation import PassedOver, PassedOverFiles
from kdbench.errors import DamagedData
from kdbench.store.disk import plain_errors

SUMS = "SHA256SUMS"


def class_folders(
    tree: Tree, declared: Mapping[str, Any], folders: Mapping[str, str] | None = None
) -> Iterator[Picture]:
    """Pictures of `<split>/<class>/<name>.png`; other and hidden files are passed over.

    Args:
        tree: a folder or an archive.
        declared: the declaration: `splits` and, beside those without loss, `formats`.
        folders: split by the name of its folder, where that is another one.
    """
    folders = folders or {split: split for split in declared["splits"]}
    shapes = [f"{folder}/*/*" for folder in folders]
    for file in tree.read(*shapes, suffixes=suffixes(declared)):
        folder, label, _ = file.name.split("/")
        yield Picture(folders[folder], label, file.where, file.data)


def pictures_below(source: Path, declared: Mapping[str, Any]) -> Iterator[Picture] | None:
    """Pictures of a folder of zip shards or of class folders; None if it is neither.

    Shards are called `<split>-<n>.zip`; their members are as in class folders. Where a file
    `SHA256SUMS` lies beside them, every shard must agree with its line there.

    Raises:
        DamagedData: as soon as it is read, a shard that is broken, differs from its line in
            `SHA256SUMS`, or is named there but absent.
    """
    shards = {
        name: _shards_of(source, name)
        for names in _folder_names(declared).values()
        for name in names
    }
    packed = _existing_folders(declared, lambda name: bool(shards[name]))
    if packed:
        return _pictures_in_shards(
            source, [s for name in packed for s in shards[name]], declared, packed
        )
    plain = _existing_folders(declared, lambda name: (source / name).is_dir())
    return class_folders(FolderTree(source), declared, plain) if plain else None


def find_passed_over(tree: Tree, declared: Mapping[str, Any]) -> PassedOver:
    """Says which picture files of a split and a class have a format that is not declared."""

    def of_class(split: str, label: str) -> PassedOverFiles:
        shapes = [f"{folder}/{label}/*" for folder in _folder_names(declared)[split]]
        endings = Counter(PurePosixPath(name).suffix.lower() for name in tree.names(*shapes))
        known, (ending, _) = suffixes(declared), (endings.most_common(1) or [("", 0)])[0]
        kind = Image.registered_extensions().get(ending)
        if kind is None or ending in known:
            return PassedOverFiles()
        many = sum(n for e, n in endings.items() if Image.registered_extensions().get(e) == kind)
        advice = f'write formats = ["{kind}"] into {declared["name"]}.toml if they are its images'
        if declared.get("archive"):
            advice = f"lossy copies are not {declared['label']}; use the official archive"
        return PassedOverFiles(f" ({many} {kind} files were passed over)", advice)

    return of_class


def _folder_names(declared: Mapping[str, Any]) -> dict[str, list[str]]:
    """By split, the names that its folder may have, the preferred one first."""
    other = declared.get("folders", {})
    return {split: other.get(split, [split]) for split in declared["splits"]}


def _existing_folders(declared: Mapping[str, Any], exists: Callable[[str], bool]) -> dict[str, str]:
    """Split by the first of its folder's names that exists."""
    first = {
        split: next(filter(exists, names), None) for split, names in _folder_names(declared).items()
    }
    return {name: split for split, name in first.items() if name is not None}


def _shards_of(source: Path, folder: str) -> list[Path]:
    shard = re.compile(rf"{re.escape(folder)}-\d+\.zip")
    return sorted(path for path in source.glob("*.zip") if shard.fullmatch(path.name))


def _pictures_in_shards(
    source: Path, shards: list[Path], declared: Mapping[str, Any], folders: Mapping[str, str]
) -> Iterator[Picture]:
    if (source / SUMS).is_file():
        _check_sums(source / SUMS, shards)
    for shard in shards:
        yield from class_folders(ArchiveTree(shard), declared, folders)


def _check_sums(sums: Path, shards: list[Path]) -> None:
    """Compare every shard with its line `<sha256>  <name>`."""
    with plain_errors(sums):
        lines = [line.split() for line in sums.read_text("utf-8", "replace").splitlines()]
    listed = {line[1].lstrip("*"): line[0] for line in lines if len(line) == 2}
    present = {shard.name: shard for shard in shards}
    for name in sorted({name for name in listed if name.endswith(".zip")} - set(present)):
        if (sums.parent / name).exists():
            advice = "rename it, or unpack all of them and give the folder"
            raise DamagedData(sums, f"{name} listed", "names like train-0.zip", advice)
        raise DamagedData(sums, f"{name} listed but absent", "every listed shard", AGAIN)
    for name, shard in present.items():
        if name not in listed:
            raise DamagedData(sums, f"no line for {name}", "a checksum of every shard", AGAIN)
        if not matches(shard, f"sha256:{listed[name]}"):
            raise DamagedData(shard, "another checksum", f"the one in {SUMS}", AGAIN)
