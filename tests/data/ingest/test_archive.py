"""Archives that were made to do harm, or were damaged on the way."""

import gzip
import io
import lzma
import stat
import tarfile
import zipfile

import pytest

from kdbench.data.ingest.archive import members, places
from kdbench.errors import DamagedData, UserError


def tar_of(path, name, kind=tarfile.REGTYPE, mode="w:gz"):
    """A tar with one harmless member and one of that name and kind."""
    with tarfile.open(path, mode) as archive:
        for each, of in (("good", tarfile.REGTYPE), (name, kind)):
            info = tarfile.TarInfo(each)
            info.type, info.size, info.linkname = of, 4 * (of == tarfile.REGTYPE), "/etc/passwd"
            archive.addfile(info, io.BytesIO(b"data"))
    return path


def zip_of(path, name, mode=0):
    """A zip with one harmless member and one of that name and Unix mode."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good", b"data")
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, b"data")
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar_members_are_read(tmp_path, mode):
    """Names and bytes, whatever the compression."""
    path = tar_of(tmp_path / "a.tar", "deep/file", mode=mode)

    assert list(members(path)) == [("good", b"data"), ("deep/file", b"data")]


def test_zip_members_are_read(tmp_path):
    """Names and bytes; folders are no members."""
    path = zip_of(tmp_path / "a.zip", "deep/file")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("folder/", b"")

    assert list(members(path)) == [("good", b"data"), ("deep/file", b"data")]


@pytest.mark.parametrize("build", [tar_of, zip_of])
@pytest.mark.parametrize("name", ["../up", "a/../../up", "/abs", "..\\up", "C:up"])
def test_paths_that_lead_out_are_refused(tmp_path, layouts, build, name):
    """The error names archive and member, and says not to trust it."""
    with pytest.raises(DamagedData) as caught:
        list(members(build(tmp_path / "bad", name)))
    layouts.one_line(caught, tmp_path / "bad", repr(name), "do not trust")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, layouts, kind):
    """Even with a harmless name, a link may point anywhere."""
    with pytest.raises(DamagedData) as caught:
        list(members(tar_of(tmp_path / "bad", "train", kind)))
    layouts.one_line(caught, "'train'", "a link or a device")


def test_links_in_a_zip_are_refused(tmp_path, layouts):
    """Zips keep links as files with a Unix mode."""
    with pytest.raises(DamagedData) as caught:
        list(members(zip_of(tmp_path / "bad", "train", stat.S_IFLNK | 0o777)))
    layouts.one_line(caught, "'train'", "a link or a device")


@pytest.mark.parametrize(
    ("name", "kind", "link"),
    [
        ("/abs", tarfile.REGTYPE, ""),
        ("..\\up", tarfile.REGTYPE, ""),
        ("C:up", tarfile.REGTYPE, ""),
        ("a/../b", tarfile.REGTYPE, ""),
        ("train", tarfile.SYMTYPE, "good"),
        ("train", tarfile.LNKTYPE, "good"),
    ],
)
def test_more_is_refused_than_by_the_filter_of_tarfile(tmp_path, name, kind, link):
    """The filter `data` lets these pass; where it refuses one of them, ours may be given up."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    assert tarfile.data_filter(info, str(tmp_path)).name == name.removeprefix("/")
    with tarfile.open(tmp_path / "bad", "w") as archive:
        archive.addfile(info)

    for look in (members, places):
        with pytest.raises(DamagedData, match="do not trust"):
            list(look(tmp_path / "bad"))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_truncated_tars_are_refused(tmp_path, layouts, mode, share):
    """A tar cut within a member is damaged, wherever the cut is."""
    path = tmp_path / "cut"
    with tarfile.open(path, mode) as archive:
        info = tarfile.TarInfo("train")
        info.size = 50_000
        archive.addfile(info, io.BytesIO(bytes(i * i % 251 for i in range(50_000))))
    whole = path.read_bytes()[:50_000]
    path.write_bytes(whole[: int(share * len(whole))])

    with pytest.raises(DamagedData) as caught:
        list(members(path))
    layouts.one_line(caught, path, "again")


def three_members(path):
    """The bytes of a tar with three members of a block each, without the end's zeros."""
    with tarfile.open(path, "w") as archive:
        for name in ("one", "two", "three"):
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"data"))
    return path.read_bytes()[: 6 * tarfile.BLOCKSIZE]


@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress])
@pytest.mark.parametrize("blocks", [2, 4, 4.2, 6, 6.9])
def test_a_tar_that_ends_without_its_mark_is_refused(tmp_path, layouts, compress, blocks):
    """Cut between two members or within a header, and then compressed."""
    path = tmp_path / "cut"
    whole = three_members(path) + bytes(2 * tarfile.BLOCKSIZE)
    path.write_bytes(compress(whole[: int(blocks * tarfile.BLOCKSIZE)]))

    with pytest.raises(DamagedData) as caught:
        list(members(path))
    layouts.one_line(caught, path, "again")


@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress])
@pytest.mark.parametrize("block", [2, 4])
def test_a_damaged_header_is_no_end(tmp_path, layouts, compress, block):
    """Members behind it would be lost without a word."""
    path = tmp_path / "bad"
    whole = bytearray(three_members(path) + bytes(2 * tarfile.BLOCKSIZE))
    whole[block * tarfile.BLOCKSIZE + 150] ^= 1
    path.write_bytes(compress(bytes(whole)))

    with pytest.raises(DamagedData) as caught:
        list(members(path))
    layouts.one_line(caught, path, "no header where one should be", "again")


def test_what_stands_behind_the_end_of_a_compressed_tar_is_checked_too(tmp_path):
    """The checksum is the last thing in the file; the padding alone may be large."""
    path = tmp_path / "bad"
    whole = three_members(path) + bytes(40 * tarfile.BLOCKSIZE)
    good = gzip.compress(whole)
    path.write_bytes(good[:-8] + bytes(4) + good[-4:])

    with pytest.raises(DamagedData):
        list(members(path))
    path.write_bytes(good)
    assert [member.name for member in members(path)] == ["one", "two", "three"]
    with pytest.raises(DamagedData, match="bytes inside"):
        list(members(path, largest=len(whole) // 2))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_truncated_zips_are_refused(tmp_path, share):
    """A zip's directory stands at its end."""
    path = zip_of(tmp_path / "cut.zip", "train")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])

    with pytest.raises(DamagedData):
        list(members(path))


def test_a_flipped_bit_in_a_zip_is_seen(tmp_path):
    """Members carry a checksum."""
    path = zip_of(tmp_path / "bad.zip", "train")
    path.write_bytes(path.read_bytes().replace(b"data", b"dat4", 1))

    with pytest.raises(DamagedData):
        list(members(path))


@pytest.mark.parametrize("build", [tar_of, zip_of])
def test_archives_that_swell_are_refused(tmp_path, layouts, build):
    """More bytes than allowed are an error before they fill the memory."""
    with pytest.raises(DamagedData) as caught:
        list(members(build(tmp_path / "bomb", "train"), largest=7))
    layouts.one_line(caught, "8 bytes", "at most 7")


@pytest.mark.parametrize("build", [tar_of, zip_of])
def test_only_wanted_members_are_read(tmp_path, layouts, build):
    """Others may be of any size, but their names are checked all the same."""
    path = build(tmp_path / "archive", "train")

    assert [name for name, _ in members(path, {"train"}.__contains__)] == ["train"]
    assert list(members(path, {"train"}.__contains__, largest_member=4)) == [("train", b"data")]
    with pytest.raises(DamagedData) as caught:
        list(members(path, largest_member=3))
    layouts.one_line(caught, path, "'good'", "4 bytes", "at most 3")
    assert list(members(path, lambda name: False, largest_member=3)) == []
    with pytest.raises(DamagedData, match="do not trust"):
        list(members(build(tmp_path / "bad", "../up"), lambda name: False))


def test_a_folder_or_an_absent_file_is_one_line(tmp_path, layouts):
    """Whoever gives a wrong path reads it in the error."""
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UserError) as caught:
            list(members(path))
        layouts.one_line(caught, path)
