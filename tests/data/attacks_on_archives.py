"""Official archives that are damaged, or made to do harm; see `attacks.py`."""

import tarfile

from families import PICKLED, pack


def _archive(family, folder, extra=()):
    return family.write_archive(folder / family.archive, family.content(), extra)


def _replaced(family, folder, name, what):
    """The official archive with another member in the place of one, see `families.pack`."""
    official = {**family.official(family.content()), name: what}
    members = [(f"{family.root}/{n}", data) for n, data in official.items()]
    return pack(folder / family.archive, members, family.archive.endswith(".zip"))


def _read(family):
    """A member that the preparation reads: a pickle, a list or a picture."""
    official = family.official(family.content())
    return (
        "wnids.txt"
        if "wnids.txt" in official
        else next(n for n in official if "train" in n or "batch" in n)
    )


def truncated_archive(family, folder):
    """The second half is missing."""
    path = _archive(family, folder)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path, (path, "broken archive")


def no_archive(family, folder):
    """A page that says that the server is busy, say."""
    path = folder / family.archive
    path.write_text("<html>")
    return path, (path, "broken archive")


def path_that_climbs(family, folder):
    """A member that would be written above."""
    path = _archive(family, folder, [("../../escaped", b"data")])
    return path, ("'../../escaped'", "a path that leads out", "do not trust")


def absolute_path(family, folder):
    """A member that would be written anywhere."""
    target = folder.parent / "escaped"
    path = _archive(family, folder, [(str(target), b"data")])
    return path, (repr(str(target)), "a path that leads out", "do not trust")


def _link(kind, mode):
    def make_link(info):
        if isinstance(info, tarfile.TarInfo):
            info.type, info.linkname = kind, "/etc/passwd"
        else:
            info.external_attr = mode << 16

    return make_link


def symbolic_link(family, folder):
    """A link in the place of a file."""
    path = _archive(family, folder, [("train", _link(tarfile.SYMTYPE, 0o120777))])
    return path, ("'train'", "a link or a device", "do not trust")


def hard_link(family, folder):
    """A hard link; zips have none, but may have devices."""
    path = _archive(family, folder, [("train", _link(tarfile.LNKTYPE, 0o020666))])
    return path, ("'train'", "a link or a device", "do not trust")


def _claim(size):
    def claim(info):
        if isinstance(info, tarfile.TarInfo):
            info.size = size
        else:
            info.file_size = size

    return claim


def bomb(family, folder):
    """A member that claims more than any archive here has."""
    path = _archive(family, folder, [("bomb", _claim(9 << 30))])
    return path, (str(path), "bytes inside", "at most 8589934592")


def bomb_in_one_member(family, folder):
    """A member that is read whole and claims more than any here has."""
    name = _read(family)
    path = _replaced(family, folder, name, _claim((1 << 28) + 1))
    return path, (f"{family.root}/{name}", "268435457 bytes inside", "at most 268435456")


def empty_archive(family, folder):
    """An archive of another data set."""
    path = pack(folder / family.archive, [("x/y", b"z")], family.archive.endswith(".zip"))
    return path, (str(path),)


def archive_without_a_split(family, folder):
    """The official files but for those of a split."""
    official = family.official(family.content())
    gone = {"train", "test", "data_batch_3"} if family.name in PICKLED else {}
    members_left = {
        name: data
        for name, data in official.items()
        if name not in gone and not name.startswith("train/")
    }
    members = [(f"{family.root}/{name}", data) for name, data in members_left.items()]
    path = pack(folder / family.archive, members, family.archive.endswith(".zip"))
    return path, (path, "no file" if family.name in PICKLED else "0 images")


def empty_picture_in_archive(family, folder):
    """A picture of 0 bytes among the official files."""
    name = next(
        n for n in family.official(family.content()) if n.startswith("train/") and "_0." in n
    )
    path = _replaced(family, folder, name, b"")
    return path, (path, name, "unreadable picture of 0 bytes")
