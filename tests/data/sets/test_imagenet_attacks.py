"""Sources of ImageNet that are broken, incomplete or hostile: one line, and nothing is left."""

import io
import tarfile

import imagenet_layouts as tiny
import numpy as np
import pytest
from PIL import Image

from kdbench.data.ingest import image_files
from kdbench.data.ingest.image_files import check_picture
from kdbench.data.sets import imagenet
from kdbench.data.sets.imagenet import prepare
from kdbench.data.stored.open import verify_data
from kdbench.errors import BadValue, DamagedData, UserError

DATA = tiny.content()
LINK, LAST = "n03000003_1.JPEG", tiny.NUMBERED[-1]
FULL = tiny.CLASSES[2]  # has as many training images as the declaration allows


def info(name, kind):
    """A tar's member of some kind that leads to /etc/passwd."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return member


def train_with(extra):
    """The training archive, with something more in the tar of the class that is full already."""
    files = [(name, raw) for wnid, name, raw in DATA["train"] if wnid == FULL]
    tars = {**dict(tiny.class_tars(DATA)), f"{FULL}.tar": tiny.tar([*files, extra])}
    return tiny.tar(tars.items())


def outer_with(*extra, without=None):
    """The training archive with more tars, or without one."""
    tars = [(name, raw) for name, raw in tiny.class_tars(DATA) if name != without]
    return tiny.tar([*tars, *extra])


def cut_inner():
    """The training archive, whole, with a class's tar that is not."""
    (name, raw), *others = tiny.class_tars(DATA)
    return tiny.tar([(name, raw[:3000]), *others])


def garbled_inner():
    """The training archive, whole, with a class's tar that has nonsense in a header's place."""
    (name, raw), *others = tiny.class_tars(DATA)
    second = 512 + -(-len(next(r for w, _, r in DATA["train"] if w + ".tar" == name)) // 512) * 512
    return tiny.tar([(name, raw[:second] + b"\xff" * 512 + raw[second + 512 :]), *others])


def emptied():
    """The training archive with an image of no bytes."""
    return tiny.tar(tiny.class_tars({"train": [(w, n, b"") for w, n, _ in DATA["train"]]}))


def renamed():
    """The validation archive with another name in the place of one."""
    (_, _, raw), *others = DATA["test"]
    return tiny.tar([("ILSVRC2012_val_00000002.JPEG", raw), *((n, r) for _, n, r in others)])


WHOLE = tiny.tar([(name, raw) for _, name, raw in DATA["test"]])
TRUTH = tiny.truth(DATA)
ATTACKS = {
    "a cut outer tar": ({"train": tiny.tar(tiny.class_tars(DATA))[:9000]}, "broken archive"),
    "a cut inner tar": ({"train": cut_inner()}, "broken archive"),
    "nonsense in an inner tar": ({"train": garbled_inner()}, "broken archive"),
    "a compressed tar": ({"train": tiny.tar(tiny.class_tars(DATA), "w:gz")}, "uncompressed"),
    "a cut validation set": ({"test": WHOLE[:5000]}, "broken archive"),
    "no tar at all": ({"test": b"x" * 2000}, "broken archive"),
    "a missing class": ({"train": outer_with(without=f"{LAST}.tar")}, f"no class '{LAST}'"),
    "an extra class": ({"train": outer_with(("n05000005.tar", b""))}, "unknown class 'n05000005'"),
    "a class twice": ({"train": outer_with((f"{LAST}.tar", b""))}, "twice"),
    "an empty class": (
        {"train": outer_with((f"{LAST}.tar", tiny.tar([])), without=f"{LAST}.tar")},
        "0 images",
    ),
    "a climbing path": ({"train": train_with(("../../evil.JPEG", b"x"))}, "leads out"),
    "an absolute path": ({"train": outer_with(("/n01.tar", b""))}, "leads out"),
    "a link inside": ({"train": train_with((info(LINK, tarfile.SYMTYPE), b""))}, "a link"),
    "a hard link": ({"train": train_with((info(LINK, tarfile.LNKTYPE), b""))}, "a link"),
    "a link outside": (
        {"train": outer_with((info("n01.tar", tarfile.SYMTYPE), b""))},
        "a link",
    ),
    "a device": ({"test": tiny.tar([(info("a", tarfile.CHRTYPE), b"")])}, "a device"),
    "a sparse file": ({"test": tiny.tar([(info("a", tarfile.GNUTYPE_SPARSE), b"")])}, "sparse"),
    "an image of 0 bytes": ({"train": emptied()}, "unreadable picture of 0 bytes"),
    "too many images": ({"train": train_with((LINK, b"x"))}, "6 images, expected 3 to 5"),
    "a validation image twice": ({"test": renamed()}, "second file"),
    "a number beyond": (
        {"test": tiny.tar([("ILSVRC2012_val_00000009.JPEG", b"x")])},
        "each number from 1 to 8",
    ),
    "a validation image less": (
        {"test": tiny.tar([(name, raw) for _, name, raw in DATA["test"][:-1]])},
        "1 images",
    ),
    "a truth too short": ({"devkit": tiny.devkit(DATA, lines=TRUTH[2:])}, "7 lines"),
    "a truth too long": ({"devkit": tiny.devkit(DATA, lines=TRUTH + b"1\n")}, "9 lines"),
    "a number of no class": ({"devkit": tiny.devkit(DATA, lines=b"5" + TRUTH[1:])}, "other lines"),
    "other classes": (
        {"devkit": tiny.devkit(DATA, mat=tiny.meta_mat(["n07", *tiny.NUMBERED[1:]]))},
        f"no class '{tiny.NUMBERED[0]}'",
    ),
    "a class less": (
        {"devkit": tiny.devkit(DATA, mat=tiny.meta_mat(tiny.NUMBERED[:3]))},
        f"no class '{LAST}'",
    ),
    "a broken meta.mat": ({"devkit": tiny.devkit(DATA, mat=b"MATLAB 5.0")}, "synsets"),
    "no meta.mat": ({"devkit": tiny.tar([("readme", b"")], "w:gz")}, "meta.mat"),
    "a cut devkit": ({"devkit": tiny.devkit(DATA)[:-200]}, "broken archive"),
}


def refused(source, out, declared, layouts, *words):
    """Preparing fails with one line of these words, leaves nothing, and the right source works."""
    with pytest.raises(UserError) as caught:
        prepare(source, out / "imagenet", declared)
    layouts.one_line(caught, *words)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("name", ATTACKS)
def test_a_broken_source_leaves_nothing(tmp_path, layouts, name):
    """One line that says what was found; with whole archives the same call succeeds after it."""
    replaced, word = ATTACKS[name]
    (tmp_path / "out").mkdir()
    source = tiny.write_archives(tmp_path / "source", DATA, **replaced)
    declared = tiny.declaration(DATA, source, known={})
    refused(source, tmp_path / "out", declared, layouts, word, source)

    tiny.write_archives(source, DATA)
    prepare(source, tmp_path / "out" / "imagenet", tiny.declaration(DATA, source))
    assert verify_data(tmp_path / "out" / "imagenet")


@pytest.mark.parametrize("role", tiny.FILES)
@pytest.mark.parametrize("what", ["checksum", "size"])
def test_another_archive_than_the_published_one_is_refused(tmp_path, layouts, role, what):
    """Each has its checksum, and its size, which is compared first because that is quick."""
    source = tiny.write_archives(tmp_path / "source", DATA)
    declared = tiny.declaration(DATA, source)
    right = declared["archives"][role][what]
    declared["archives"][role][what] = "md5:" + "0" * 32 if what == "checksum" else 77
    (tmp_path / "out").mkdir()
    words = right if what == "checksum" else f"{right} bytes, expected 77"
    refused(source, tmp_path / "out", declared, layouts, tiny.FILES[role], words)


def test_an_image_larger_than_any_is_not_read(tmp_path, layouts, monkeypatch):
    """A member may claim to be huge; memory is not its own to take."""
    monkeypatch.setattr(image_files, "LARGEST", 1000)
    source = tiny.write_archives(tmp_path / "source", DATA, train=train_with((LINK, b"x" * 1001)))
    (tmp_path / "out").mkdir()
    declared = tiny.declaration(DATA, source, known={}, each={"train": [3, 9], "test": [2, 2]})
    refused(source, tmp_path / "out", declared, layouts, "bytes, expected at most 1000")


@pytest.mark.parametrize(
    ("split", "limits"), [("train", [3, 4]), ("train", [4, 5]), ("test", [3, 3])]
)
def test_a_class_has_its_number_of_images(tmp_path, layouts, split, limits):
    """Fewer or more than the declaration allows are refused, in class folders too."""
    source = tiny.write_folders(tmp_path / "source", DATA)
    each = {"train": [3, 5], "test": [2, 2]} | {split: limits}
    (tmp_path / "out").mkdir()
    declared = tiny.declaration(DATA, each=each)
    refused(source, tmp_path / "out", declared, layouts, "images, expected", "class n0")


@pytest.mark.parametrize("build", [tiny.write_archives, tiny.write_folders])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_has_its_number_of_images(tmp_path, layouts, build, split):
    """Every class may be in its limits and yet the whole be short of one."""
    source = build(tmp_path / "source", DATA)
    totals = {one: len(entries) for one, entries in DATA.items()}
    declared = tiny.declaration(DATA, splits={**totals, split: totals[split] + 1})
    (tmp_path / "out").mkdir()
    expected = f"{totals[split] + 1}"
    refused(source, tmp_path / "out", declared, layouts, expected)


@pytest.mark.parametrize("change", [{"each": {"train": [3, 5], "test": [1, 1]}}, {"splits": None}])
@pytest.mark.parametrize("build", [tiny.write_archives, tiny.write_folders])
def test_what_a_listing_tells_is_told_before_any_image_is_read(
    tmp_path, layouts, monkeypatch, build, change
):
    """Nobody waits for an hour to hear that an image is missing in the last class."""

    def read(piece):
        raise AssertionError(f"{piece.where} was read")

    monkeypatch.setattr(imagenet, "read", read)
    source = build(tmp_path / "source", DATA)
    totals = {"train": len(DATA["train"]), "test": 9}
    devkit = {"devkit": tiny.devkit(DATA, lines=TRUTH + b"1\n")}
    if build is tiny.write_archives and change == {"splits": None}:
        tiny.write_archives(source, DATA, **devkit)
    change = {key: value or totals for key, value in change.items()}
    (tmp_path / "out").mkdir()
    refused(source, tmp_path / "out", tiny.declaration(DATA, **change), layouts, "images, expected")


@pytest.mark.parametrize("root", ["train", "val"])
@pytest.mark.parametrize("what", ["missing", "extra", "flat"])
def test_class_folders_are_those_of_the_data_set(tmp_path, layouts, root, what):
    """A missing folder, one more, or none at all because nobody sorted the images."""
    source = tiny.write_folders(tmp_path / "source", DATA)
    folder = source / root
    if what == "extra":
        (folder / "n05000005").mkdir()
    else:
        for wnid in tiny.CLASSES if what == "flat" else tiny.CLASSES[:1]:
            for path in (folder / wnid).iterdir():
                path.rename(folder / path.name)
            (folder / wnid).rmdir()
    (tmp_path / "out").mkdir()
    words = f"no class '{tiny.CLASSES[0]}'"
    if root == "val":  # a list beside it may say the classes
        words = "images of no class"
    if what == "extra":
        words = "unknown class 'n05000005'"
    refused(source, tmp_path / "out", tiny.declaration(DATA), layouts, folder, words)


def test_a_file_that_disappears_is_one_line(tmp_path, layouts):
    """A link that leads nowhere, in a class folder."""
    source = tiny.write_folders(tmp_path / "source", DATA)
    path = next((source / "train" / LAST).glob("*.JPEG"))
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    (tmp_path / "out").mkdir()
    refused(source, tmp_path / "out", tiny.declaration(DATA), layouts, LAST, "cannot be read")


@pytest.mark.parametrize("size", [0, 200, 5000, -1])
def test_a_full_disk_leaves_nothing(tmp_path, layouts, small_disk, size):
    """From the first byte to the last of the largest file: one line; with room it works."""
    source = tiny.write_archives(tmp_path / "source", DATA)
    declared = tiny.declaration(DATA, source)
    if size < 0:
        prepare(source, tmp_path / "whole", declared)
        size += max(path.stat().st_size for path in (tmp_path / "whole").iterdir())
    (tmp_path / "out").mkdir()
    with small_disk(size):
        refused(source, tmp_path / "out", declared, layouts, "no room left on the disk")

    prepare(source, tmp_path / "out" / "imagenet", declared)
    assert verify_data(tmp_path / "out" / "imagenet")


def test_a_folder_of_something_else_is_never_replaced(tmp_path, layouts):
    """A mistyped output folder costs nobody their files, and is refused before any work."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    source = tiny.write_archives(tmp_path / "source", DATA)
    with pytest.raises(BadValue) as caught:
        prepare(source, tmp_path / "out", tiny.declaration(DATA, source))
    layouts.one_line(caught, "thesis.tex", "choose another folder")
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"


RNG = np.random.RandomState(5)
JPEG = tiny.picture(RNG, (64, 48))
PNG = tiny.picture(RNG, (64, 48), kind="PNG")


def thumbnailed():
    """A JPEG whose header holds a small JPEG, as cameras write them, with an end of its own."""
    small = tiny.picture(RNG, (16, 12))
    segment = b"Exif\0\0" + b"MM\0*\0\0\0\x08\0\0\0\0\0\0" + small
    return JPEG[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + JPEG[2:]


def untabled():
    """A JPEG with header and end whose quantisation tables are gone: no decoder reads it."""
    at = JPEG.index(b"\xff\xdb")
    return JPEG[:at] + JPEG[at + 2 + int.from_bytes(JPEG[at + 2 : at + 4], "big") :]


@pytest.mark.parametrize(
    "data",
    [
        JPEG,
        PNG,
        thumbnailed(),
        JPEG + b"\0" * 30,
        JPEG + b"some camera's trailer",
        tiny.picture(RNG, mode="CMYK"),
        tiny.picture(RNG, mode="L"),
        tiny.picture(RNG, progressive=True),
    ],
)
@pytest.mark.parametrize("decode", [False, True])
def test_whole_pictures_pass(data, decode):
    """All that real images of ImageNet are, also with bytes after their end."""
    check_picture(data, "here", decode)


def test_a_damaged_exif_block_is_no_damage():
    """Pillow warns of some real images; here warnings are errors, and none comes."""
    exif = Image.Exif()
    exif[282] = 72.0
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", exif=exif.tobytes()[:-9])
    with pytest.warns(UserWarning, match="Truncated"), Image.open(io.BytesIO(file.getvalue())):
        pass

    check_picture(file.getvalue(), "here", decode=True)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>404</html>",
        JPEG[:100],
        JPEG[: len(JPEG) // 2],
        JPEG[:-30],
        thumbnailed()[:-400],
        PNG[:-30],
        PNG[:-30] + b"\xff\xda\xff\xd9",
        tiny.picture(RNG, kind="GIF"),
    ],
)
def test_what_is_no_whole_picture_is_refused(data, layouts):
    """Cut, empty or of another kind; a thumbnail's end is not the image's."""
    with pytest.raises(DamagedData) as caught:
        check_picture(data, "here.JPEG")
    layouts.one_line(caught, "here.JPEG", f"{len(data)} bytes", "JPEG or PNG")


def test_decoding_finds_more(tmp_path, layouts):
    """A JPEG of sound header and end passes unless everything is decoded."""
    data = {**DATA, "train": [*DATA["train"][1:], (*DATA["train"][0][:2], untabled())]}
    source = tiny.write_folders(tmp_path / "source", data)
    (tmp_path / "out").mkdir()
    with pytest.raises(DamagedData) as caught:
        prepare(source, tmp_path / "out" / "imagenet", tiny.declaration(data), decode=True)
    layouts.one_line(caught, DATA["train"][0][1], "unreadable picture")
    assert list((tmp_path / "out").iterdir()) == []

    prepare(source, tmp_path / "out" / "imagenet", tiny.declaration(data))
