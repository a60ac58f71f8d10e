"""ImageNet-1K from its three official archives, or from class folders; images stay encoded."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

from kdbench.data.ingest.archive import AGAIN, Place, places
from kdbench.data.ingest.download import digest
from kdbench.data.ingest.image_files import ImageFile, check_picture, read
from kdbench.data.sets.imagenet_devkit import Devkit, check_names, read_devkit, read_solution
from kdbench.data.stored.arrow import Row
from kdbench.data.stored.shards import write
from kdbench.data.stored.validation import COPY
from kdbench.errors import DamagedData, UserError
from kdbench.store.disk import plain_errors

Declared: TypeAlias = Mapping[str, Any]

VALIDATION = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")
SOLUTION = "LOC_val_solution.csv"  # Kaggle's list of the validation images
BELOW = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC")  # where Kaggle's copy has them
SUFFIXES = (".jpeg", ".jpg")  # of class folders; one file of the training set is a PNG all the same


@dataclass(frozen=True)
class Listing:
    """Where the images are.

    Attributes:
        find: from split and class to its images, in any order.
        details: `words` and `numbers` of the classes, by class name, where the devkit is there.
    """

    find: Callable[[str, str], list[ImageFile]]
    details: Mapping[str, Any] = field(default_factory=dict)


def prepare(source: Path, out: Path, declaration: Declared, *, decode: bool = False) -> str:
    """Read ImageNet-1K from `source` and write it prepared to `out`, see `shards.write`.

    Labels follow the alphabet of the WordNet ids, as those of published weights do; the devkit's
    numbers, in which its ground truth is written, do not. The split "test" is the official
    validation set. Nothing is unpacked: archives are read in place. A class is read twice, first
    to sort it; a few megabytes are in memory.

    Every image must be a JPEG or PNG by its header and have its end (a JPEG's end-of-image marker
    after its last start of scan); those without that marker, and PNGs, are decoded.

    Args:
        source: a folder with the three archives, or with class folders `train/<wnid>/*.JPEG` and
            `val/<wnid>/*.JPEG`, where the devkit beside them gives `meta.json` the classes' words;
            with it, or with Kaggle's `LOC_val_solution.csv`, validation images may lie in `val/`
            itself. Kaggle's copy may be given as it unpacks (`ILSVRC/Data/CLS-LOC/`).
        out: the prepared folder.
        declaration: `class_names`, `splits`, `each` (fewest and most images of a class),
            `folders`, `archives` (`file`, and where known `size` and `checksum`), `known` (class
            of some files, by file name), `image`, `mean`, `std`, and optionally `fingerprint`.
        decode: whether to decode every image, which takes about half an hour for each core.

    Returns:
        The fingerprint.

    Raises:
        DamagedData: the source is broken, incomplete, has too much, or has images in wrong
            classes; `out` is as it was.
        UserError: there is no such source, its layout is unknown, or the disk is full.
    """
    classes = sorted(declaration["class_names"])  # a label is a position in them
    declared = {**declaration, "class_names": classes}
    listing = _list_source(source, declared)
    about = {key: declared[key] for key in ("name", "image", "mean", "std")}
    splits = {s: _sorted_rows(listing, source, s, declared, decode) for s in declared["splits"]}
    return write(
        out,
        {**about, "stand_in": None, **listing.details},
        splits,
        classes,
        expected=declared.get("fingerprint"),
    )


def _list_source(source: Path, declared: Declared) -> Listing:
    archives = {role: source / one["file"] for role, one in declared["archives"].items()}
    with plain_errors(source):
        for root in (source / below for below in BELOW):
            if all(any((root / f).is_dir() for f in fs) for fs in declared["folders"].values()):
                return _list_class_folders(root, source, declared)
        absent = [path.name for path in archives.values() if not path.is_file()]
        if not absent:
            return _list_archives(archives, declared)
        names = sorted(path.name for path in source.iterdir())[:5] if source.is_dir() else []
    folders = " and ".join(f"{names[0]}/<wnid>/" for names in declared["folders"].values())
    raise UserError(
        f"{source}: found {', '.join(names) or 'nothing'}, expected a folder with the archives "
        f"{', '.join(one['file'] for one in declared['archives'].values())}, or with the class "
        f"folders {folders}; absent: {', '.join(absent)}"
    )


def _list_archives(paths: Mapping[str, Path], declared: Declared) -> Listing:
    """The official archives, after their checksums; the listing of the outer two is compared."""
    for role, path in paths.items():
        _check_archive(path, declared["archives"][role])
    kit = read_devkit(paths["devkit"], declared)
    tars: dict[str, Place] = {}
    for place in places(paths["train"]):
        wnid = place.name.removesuffix(".tar")
        if wnid in tars:
            raise DamagedData(paths["train"], f"{place.name!r} twice", "a tar for each class", COPY)
        tars[wnid] = place
    check_names(f"{paths['train']}", tars, declared["class_names"])
    images = _validation_images(paths["test"], kit.truth)

    def find(split: str, wnid: str) -> list[ImageFile]:
        return (
            images.get(wnid, []) if split == "test" else _images_in_tar(paths["train"], tars[wnid])
        )

    listing = Listing(find, {"words": kit.words, "numbers": kit.numbers})
    _check_listing(listing, paths["test"], "test", declared)
    return listing


def _check_archive(path: Path, known: Declared) -> None:
    """Compare size and checksum with the published ones, the size first because it is quick."""
    size = path.stat().st_size
    if size != known.get("size", size):
        raise DamagedData(path, f"{size} bytes", f"{known['size']} bytes", AGAIN)
    if "checksum" in known:
        actual = digest(path, known["checksum"].partition(":")[0])
        if actual != known["checksum"]:
            raise DamagedData(path, actual, known["checksum"], AGAIN)


def _images_in_tar(path: Path, tar: Place) -> list[ImageFile]:
    """The images of a tar within the training archive."""
    where = f"{path}, member {tar.name!r}"
    return [
        ImageFile(inner.name, f"{where}, {inner.name!r}", path, inner.offset, inner.size)
        for inner in places(path, tar)
    ]


def _validation_images(path: Path, truth: list[str]) -> dict[str, list[ImageFile]]:
    """The validation images by class."""
    by_class: dict[str, list[ImageFile]] = {}
    seen = set()
    for place in places(path):
        where, match = f"{path}, member {place.name!r}", VALIDATION.fullmatch(place.name)
        number = int(match[1]) if match else 0
        if not 1 <= number <= len(truth) or number in seen:
            expected = f"one file for each number from 1 to {len(truth)}"
            raise DamagedData(where, "another or a second file", expected, COPY)
        seen.add(number)
        image = ImageFile(place.name, where, path, place.offset, place.size)
        by_class.setdefault(truth[number - 1], []).append(image)
    return by_class


def _list_class_folders(root: Path, source: Path, declared: Declared) -> Listing:
    """Class folders, all of them listed and compared before anything is read.

    Validation images may lie in one folder where the devkit or Kaggle's list says their classes.
    """
    roots = {
        split: next(root / name for name in names if (root / name).is_dir())
        for split, names in declared["folders"].items()
    }
    kit = _devkit_beside(root, source, declared)
    flat = _flat_validation(roots["test"], root, source, kit, declared)

    def find(split: str, wnid: str) -> list[ImageFile]:
        if split == "test" and flat is not None:
            return flat.get(wnid, [])
        return _images_in(roots[split] / wnid)

    listing = Listing(find, {"words": kit.words, "numbers": kit.numbers} if kit else {})
    for split, folder in roots.items():
        if split != "test" or flat is None:
            names = [
                path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != "."
            ]
            check_names(str(folder), names, declared["class_names"])
        _check_listing(listing, folder, split, declared)
    return listing


def _devkit_beside(root: Path, source: Path, declared: Declared) -> Devkit | None:
    """The development kit, where its archive lies in the source or beside the class folders."""
    for folder in (source, root):
        path = folder / declared["archives"]["devkit"]["file"]
        if path.is_file():
            _check_archive(path, declared["archives"]["devkit"])
            return read_devkit(path, declared)
    return None


def _flat_validation(
    folder: Path, root: Path, source: Path, kit: Devkit | None, declared: Declared
) -> dict[str, list[ImageFile]] | None:
    """Validation images by class where they all lie in one folder; None where they are sorted.

    Raises:
        DamagedData: nothing says their classes, or not that of every image.
    """
    images = _images_in(folder)
    if not images:
        return None
    solution = next((p / SOLUTION for p in (source, root) if (p / SOLUTION).is_file()), None)
    if kit is not None:
        labels = {f"ILSVRC2012_val_{i:08d}.JPEG": wnid for i, wnid in enumerate(kit.truth, 1)}
    elif solution is not None:
        labels = read_solution(solution, declared["class_names"])
    else:
        expected = f"{declared['archives']['devkit']['file']} or {SOLUTION} beside it"
        advice = "one of them says their classes"
        raise DamagedData(folder, f"{len(images)} images of no class", expected, advice)
    by_class: dict[str, list[ImageFile]] = {}
    for image in images:
        if image.name not in labels:
            raise DamagedData(
                image.where, "an image that is not listed", "a validation image", COPY
            )
        by_class.setdefault(labels[image.name], []).append(image)
    return by_class


def _images_in(folder: Path) -> list[ImageFile]:
    """The image files that lie in a folder, hidden ones aside."""
    with plain_errors(folder):
        return [
            ImageFile(path.name, str(path), path, 0, path.stat().st_size)
            for path in folder.iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        ]


def _check_listing(listing: Listing, where: Path, split: str, declared: Declared) -> None:
    """Compare a whole split that is quickly listed, before hours are spent on it."""
    total = 0
    for wnid in declared["class_names"]:
        images = listing.find(split, wnid)
        _check_class(f"{where}, class {wnid}", images, split, wnid, declared)
        total += len(images)
    _check_total(where, split, total, declared)


def _check_class(
    where: str, images: list[ImageFile], split: str, wnid: str, declared: Declared
) -> None:
    """As many images as a class has, and none of which another class is known."""
    fewest, most = declared["each"][split]
    if not fewest <= len(images) <= most:
        expected = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        raise DamagedData(where, f"{len(images)} images", expected, COPY)
    for image in images:
        right = declared.get("known", {}).get(image.name, wnid)
        if right != wnid:
            advice = f"its images are sorted into wrong classes; {COPY}"
            raise DamagedData(image.where, f"class {wnid}", f"class {right}", advice)


def _check_total(where: Path, split: str, total: int, declared: Declared) -> None:
    expected = declared["splits"][split]
    if total != expected:
        raise DamagedData(f"{where}, {split}", f"{total} images", f"{expected}", COPY)


def _sorted_rows(
    listing: Listing, where: Path, split: str, declared: Declared, decode: bool
) -> Iterator[Row]:
    """Labels and images of a split, sorted by (label, SHA-256 of the file)."""
    total = 0
    for label, wnid in enumerate(declared["class_names"]):
        images = listing.find(split, wnid)
        _check_class(f"{where}, {split}, class {wnid}", images, split, wnid, declared)
        digests = []
        for image in images:
            data = read(image)
            check_picture(data, image.where, decode)
            digests.append(sha256(data).digest())
        for place in sorted(range(len(images)), key=digests.__getitem__):
            yield label, read(images[place])
        total += len(images)
    _check_total(where, split, total, declared)
