"""Every family in every layout, and every way in which a source can be bad, at the command line."""

import json
import shutil
import subprocess
import tracemalloc

import attacks
import numpy as np
import pytest
from families import FAMILIES, one_line, toml

from kdbench.data.ingest.decode import Picture
from kdbench.data.ingest.prepare import prepare
from kdbench.data.ingest.small_images import Official, prepare_pictures
from kdbench.data.stored.arrays import Prepared, verify
from kdbench.errors import BadValue, DamagedData, UserError

MODULES = {"cifar100": "cifar", "cifar10": "cifar"}
KINDS = [
    "archive",
    "renamed archive",
    "archive without a folder",
    "archive below ./",
    "archive in another folder",
    "folder with archive",
    "extracted",
    "folder with extracted",
    "folder in a folder of its name",
    "archive with doubled folder",
    "class folders",
    "lossless class folders",
    "shards",
    "shards without sums",
]


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    """A folder that declares every tiny data set as a plug-in, once more with a checksum."""
    folder = tmp_path_factory.mktemp("own")
    for name, family in FAMILIES.items():
        module = MODULES.get(name, name)
        archive = {**family.declared()["archive"], "checksum": "md5:" + "0" * 32}
        for own, declared in (
            (family.tiny, family.declared()),
            (f"{family.tiny}_sum", family.declared(archive=archive)),
        ):
            (folder / f"{own}.toml").write_text(toml(declared))
            (folder / f"{own}.py").write_text(f"from kdbench.data.sets.{module} import prepare\n")
    return folder


@pytest.fixture
def kdbench(tmp_path, plugins, monkeypatch, kdbench_here):
    """Runs a command in a project that knows the plug-ins: exit code, output, errors."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "params.yaml").write_text(f"plugins: ['{plugins}']\n")
    monkeypatch.chdir(project)
    kdbench_here.project = project
    return kdbench_here


def build(family, folder, kind, data):
    """A good source of that layout; its path."""
    match kind:
        case "archive":
            return family.write_archive(folder / family.archive, data)
        case "renamed archive":
            return family.write_archive(folder / "renamed", data)
        case "archive without a folder":
            return family.write_archive(folder / family.archive, data, prefix="")
        case "archive below ./":
            return family.write_archive(folder / family.archive, data, prefix=f"./{family.root}/")
        case "archive in another folder":
            return family.write_archive(folder / family.archive, data, prefix="./other/")
        case "folder with archive":
            return family.write_archive(folder / family.archive, data).parent
        case "extracted":
            return family.write_extracted(folder / "renamed", data)
        case "folder with extracted":
            return family.write_extracted(folder / family.root, data).parent
        case "folder in a folder of its name":
            return family.write_extracted(folder / family.root / family.root, data).parent.parent
        case "archive with doubled folder":
            prefix = f"{family.root}/{family.root}/"
            return family.write_archive(folder / family.archive, data, prefix=prefix)
        case "class folders":
            return family.write_folders(folder, data)
        case "lossless class folders":
            return family.write_folders(folder, data, "bmp")
        case "shards":
            return family.write_shards(folder, data)
        case "shards without sums":
            family.write_shards(folder, data, "png")
            (folder / "SHA256SUMS").unlink()
            return folder


def prepare_tiny(family, source, out, **changes):
    """Prepare a tiny data set below the command line."""
    return prepare({**family.declared(**changes), "module": family.real["module"]}, source, out)


@pytest.mark.parametrize("kind", KINDS)
def test_every_layout_gives_the_same(tmp_path, family, kind):
    """All images with the right class names, and a fingerprint that no layout changes."""
    reference = build(family, tmp_path / "reference", "class folders", family.content())
    source = build(family, tmp_path / "source", kind, family.content())

    fingerprint = prepare_tiny(family, source, tmp_path / "out")

    assert (
        fingerprint
        == prepare_tiny(family, reference, tmp_path / "again")
        == verify(tmp_path / "out")
    )
    data = Prepared.open(tmp_path / "out")
    assert (data.name, data.stand_in, data.image) == (family.tiny, None, family.image)
    assert list(data.classes) == sorted(family.classes)
    assert set(data.splits) == set(family.each)
    for split, entries in family.content().items():
        expected = {entry.pixels.tobytes(): entry.label for entry in entries}
        pairs = zip(data.images(split), data.labels(split), strict=True)
        assert {image.tobytes(): data.classes[label] for image, label in pairs} == expected


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_the_fingerprint_of_a_content_never_changes(tmp_path, name):
    """The number that these very images had before there were other data sets."""
    family = FAMILIES[name]
    source = family.write_archive(tmp_path / "archive", family.content())

    fingerprint = prepare_tiny(family, source, tmp_path / "out")

    assert fingerprint == "2205da629bcc41971bdbf117cb83325c5f7483957de4c49f0bd0751107989cd2"


ATTACKS = [
    pytest.param(name, attack, id=f"{name} {attack.__name__}")
    for name in FAMILIES
    for attack in attacks.attacks_on(name)
]


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """Prepared data of every family with other images than those of the sources."""
    folder = tmp_path_factory.mktemp("earlier")
    for name, family in FAMILIES.items():
        source = family.write_shards(folder / "sources" / name, family.content(seed=1))
        prepare_tiny(family, source, folder / family.tiny)
    return folder


@pytest.mark.parametrize(("name", "attack"), ATTACKS)
def test_a_bad_source_is_one_line_and_changes_nothing(tmp_path, kdbench, earlier, name, attack):
    """An exit code, a line that names the place, no trace; a good source then succeeds."""
    family, data = FAMILIES[name], kdbench.project / "data"
    shutil.copytree(earlier / family.tiny, data / family.tiny)
    folder = tmp_path / "bad"
    folder.mkdir()
    source, words = attack(family, folder)
    before = contents(tmp_path)

    code, out, errors = kdbench("data", "prepare", family.tiny, "--source", source)

    assert code in (2, 3), errors
    assert out == ""
    one_line(errors, "kdbench: ", *words)
    assert contents(tmp_path) == before
    assert kdbench("data", "verify", family.tiny)[0] == 0

    good = family.write_shards(tmp_path / "good", family.content())
    code, out, errors = kdbench("data", "prepare", family.tiny, "--source", good)
    assert (code, errors) == (0, "")
    assert "4 classes, fingerprint" in out
    assert verify(data / family.tiny) != verify(earlier / family.tiny)
    assert [path.name for path in data.iterdir()] == [family.tiny]


def contents(folder):
    """Every file and folder below, with its bytes."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_a_wrong_checksum_is_said_before_anything_is_read(tmp_path, kdbench, family):
    """Both sums are told; a folder of pictures needs none."""
    archive = family.write_archive(tmp_path / family.archive, family.content())

    code, _, errors = kdbench("data", "prepare", f"{family.tiny}_sum", "--source", archive)

    assert code == 3
    one_line(errors, archive, "found md5:", "md5:" + "0" * 32, "not the published file")
    assert not (kdbench.project / "data").exists()
    folders = family.write_folders(tmp_path / "folders", family.content())
    assert kdbench("data", "prepare", f"{family.tiny}_sum", "--source", folders)[0] == 0


def test_a_full_disk_is_one_line_and_changes_nothing(
    tmp_path, kdbench, earlier, family, small_disk
):
    """What was prepared before is whole, no draft takes room, and with room it succeeds."""
    data = kdbench.project / "data"
    shutil.copytree(earlier / family.tiny, data / family.tiny)
    source = family.write_shards(tmp_path / "source", family.content())
    before = contents(tmp_path)

    with small_disk(1200):
        code, out, errors = kdbench("data", "prepare", family.tiny, "--source", source)

    assert (code, out) == (2, "")
    one_line(errors, f"data/{family.tiny}", "no room left on the disk")
    assert contents(tmp_path) == before
    assert kdbench("data", "prepare", family.tiny, "--source", source)[0] == 0


@pytest.fixture
def full_disk(tmp_path):
    """A file system of 8 KiB; skipped where one must not mount any."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_file_system_is_one_line_and_changes_nothing(tmp_path, full_disk, family):
    """The same where the disk itself says that it is full."""
    source = family.write_shards(tmp_path / "source", family.content())

    with pytest.raises(UserError) as caught:
        prepare_tiny(family, source, full_disk / "set")

    one_line(caught, full_disk / "set", "no room left on the disk")
    assert list(full_disk.iterdir()) == []


def test_grey_pictures_become_coloured(tmp_path):
    """Tiny-ImageNet has some: three equal channels."""
    family = FAMILIES["tinyimagenet"]
    source = family.write_extracted(tmp_path / "source", family.content())
    prepare_tiny(family, source, tmp_path / "out")

    grey = [entries[0].pixels for entries in family.content().values()]

    images = Prepared.open(tmp_path / "out").images("train")
    assert all((pixels[..., 0] == pixels[..., 2]).all() for pixels in grey)
    assert sum((image[..., 0] == image[..., 2]).all() for image in images) == 1


@pytest.mark.parametrize("kind", ["archive", "extracted", "class folders"])
def test_the_words_of_tiny_imagenet_are_kept(tmp_path, kind):
    """Of its classes only; without words.txt there are none, which changes nothing else."""
    family = FAMILIES["tinyimagenet"]
    source = build(family, tmp_path / "source", kind, family.content())
    prepare_tiny(family, source, tmp_path / "out")

    meta = json.loads((tmp_path / "out/meta.json").read_text())

    words = {name: f"the {name}, or so" for name in sorted(family.classes)}
    assert meta.get("words") == (None if kind == "class folders" else words)


def test_the_official_test_images_of_tiny_imagenet_are_left_out(tmp_path):
    """Class folders of the official validation images may be called val or test."""
    family = FAMILIES["tinyimagenet"]
    source = family.write_folders(tmp_path / "source", family.content())
    fingerprint = prepare_tiny(family, source, tmp_path / "out")

    (source / "test" / "images").mkdir(parents=True)
    (source / "test" / "images" / "test_0.JPEG").write_bytes(b"no label")
    assert prepare_tiny(family, source, tmp_path / "out") == fingerprint
    shutil.rmtree(source / "test")
    (source / "val").rename(source / "test")
    assert prepare_tiny(family, source, tmp_path / "out") == fingerprint


def test_a_declaration_may_lack_the_names_of_classes(tmp_path, family):
    """They are those that are found; a number that is wrong names the ones in some splits only."""
    source = family.write_folders(tmp_path / "source", family.content())
    expected = prepare_tiny(family, source, tmp_path / "out")
    assert prepare_tiny(family, source, tmp_path / "out", class_names=[]) == expected

    shutil.copytree(source / "train" / family.classes[0], source / "train" / "torch")
    with pytest.raises(DamagedData) as caught:
        prepare_tiny(family, source, tmp_path / "out", class_names=[])
    one_line(caught, source, "5 classes (torch not in every split)", "expected 4")


@pytest.mark.parametrize("key", ["classes", "image", "splits"])
def test_a_declaration_that_lacks_a_key_is_refused(tmp_path, family, key):
    """One line that names the key, for authors of plug-ins."""
    with pytest.raises(BadValue) as caught:
        prepare_tiny(family, tmp_path, tmp_path / "out", **{key: None})
    one_line(caught, f"{family.tiny}.toml", f"no {key}")


def test_a_data_set_needs_no_archive(tmp_path, family):
    """Class folders are enough for a plug-in; the error then speaks of nothing else."""
    declared = {**family.declared(), "module": "kdbench.data.sets.cinic10"}
    del declared["archive"]
    source = family.write_folders(tmp_path / "source", family.content())

    fingerprint = prepare(declared, source, tmp_path / "out")

    assert fingerprint == prepare_tiny(family, source, tmp_path / "again")
    with pytest.raises(UserError) as caught:
        prepare(declared, tmp_path / "absent", tmp_path / "out")
    one_line(caught, "no such file or folder; expected class folders train/<class>/*.")


def test_images_are_in_memory_once(tmp_path):
    """Tiny-ImageNet has 1.2 GB of them; they are sorted on their way to the disk."""
    side, each, classes = 32, 5000, ["a", "b", "c", "d"]
    rng = np.random.RandomState(0)

    def pictures(tree, declared):
        for split, count in (("train", each), ("test", 1)):
            for number in range(count * len(classes)):
                pixels = rng.randint(0, 256, (side, side, 3), dtype=np.uint8)
                yield Picture(split, classes[number % 4], "here", pixels)

    splits = {"train": 4 * each, "test": 4}
    declared = {"name": "x", "classes": 4, "image": [3, side, side], "splits": splits}
    (tmp_path / "list").touch()
    tracemalloc.start()
    prepare_pictures(tmp_path, tmp_path / "out", declared, Official(pictures, landmarks=["list"]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    total = sum(splits.values()) * side * side * 3
    assert total < peak < 1.4 * total
