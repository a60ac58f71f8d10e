"""ImageNet prepared from its official archives and from class folders."""

import importlib.util
import io
import json
from pathlib import Path

import imagenet_layouts as tiny
import numpy as np
import pytest
import torch
from families import declaration
from PIL import Image
from torchvision.models import ResNet50_Weights

from kdbench.data.ingest.prepare import provide
from kdbench.data.loaders.decoding import transforms
from kdbench.data.sets.imagenet import prepare
from kdbench.data.stored.open import open_data, verify_data
from kdbench.data.stored.shards import Sharded
from kdbench.errors import DamagedData, UserError

DATA = tiny.content()


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """A folder with the three archives, and its declaration."""
    folder = tiny.write_archives(tmp_path_factory.mktemp("archives"), DATA)
    return folder, tiny.declaration(DATA, folder)


@pytest.fixture(scope="module")
def prepared(archives, tmp_path_factory):
    """The folder prepared from the archives."""
    out = tmp_path_factory.mktemp("prepared") / "imagenet"
    prepare(archives[0], out, archives[1])
    return out


def test_both_sources_give_the_same_bytes(prepared, tmp_path):
    """Every file is equal but for what only the devkit knows, and the fingerprint is the same."""
    source = tiny.write_folders(tmp_path / "source", DATA)

    fingerprint = prepare(source, tmp_path / "out", tiny.declaration(DATA))

    assert fingerprint == verify_data(prepared) == verify_data(tmp_path / "out")
    files = sorted(path.name for path in prepared.iterdir())
    assert files == sorted(path.name for path in (tmp_path / "out").iterdir())
    for name in files:
        one, other = ((folder / name).read_bytes() for folder in (prepared, tmp_path / "out"))
        if name == "meta.json":
            only = {"words", "numbers"}
            one = {k: v for k, v in json.loads(one).items() if k not in only}
            other = json.loads(other)
        assert one == other


def test_a_devkit_beside_class_folders_gives_their_words(prepared, tmp_path):
    """Then the description is the same as from the archives."""
    source = tiny.write_folders(tmp_path / "source", DATA)
    (source / tiny.FILES["devkit"]).write_bytes(tiny.devkit(DATA))

    prepare(source, tmp_path / "out", tiny.declaration(DATA))

    both = ((folder / "meta.json").read_text() for folder in (prepared, tmp_path / "out"))
    assert len(set(both)) == 1


@pytest.mark.parametrize("split", ["train", "test"])
def test_labels_follow_the_alphabet_of_the_ids(prepared, split):
    """Every image is there, once, with the place of its class in the alphabet as its label."""
    data = open_data(prepared)

    assert isinstance(data, Sharded)
    assert data.classes == tuple(tiny.CLASSES)
    rows = zip(data.labels(split).tolist(), data.encoded(split), strict=True)
    expected = [(tiny.CLASSES.index(wnid), raw) for wnid, _, raw in DATA[split]]
    assert sorted(rows) == sorted(expected)


def test_images_are_sorted_by_class_and_hash(prepared):
    """The order is the one that the documentation promises, so no source influences it."""
    from hashlib import sha256

    data = open_data(prepared)
    for split in ("train", "test"):
        rows = zip(data.labels(split).tolist(), data.encoded(split), strict=True)
        keys = [(label, sha256(raw).hexdigest()) for label, raw in rows]
        assert keys == sorted(keys)


def test_the_description_keeps_what_the_devkit_says(prepared):
    """Words and number of every class, by its id; synsets with children are no classes."""
    meta = json.loads((prepared / "meta.json").read_text())

    assert meta["numbers"] == {wnid: n + 1 for n, wnid in enumerate(tiny.NUMBERED)}
    assert meta["words"] == {wnid: f"thing {wnid}, other name" for wnid in tiny.CLASSES}
    assert meta["counts"] == {"test": 8, "train": len(DATA["train"])}
    assert (meta["format"], meta["stand_in"]) == ("shards", None)


def test_the_devkits_numbers_taken_for_labels_are_caught(tmp_path, layouts):
    """A ground truth in alphabetical numbers, the classic mistake, disagrees with known images."""
    wrong = tiny.devkit(DATA, lines=tiny.truth(DATA, tiny.CLASSES))
    source = tiny.write_archives(tmp_path / "source", DATA, devkit=wrong)
    with pytest.raises(DamagedData) as caught:
        prepare(source, tmp_path / "out", tiny.declaration(DATA, source))
    layouts.one_line(caught, "ILSVRC2012_val_0000000", "wrong classes")
    assert not (tmp_path / "out").exists()


def test_class_folders_made_with_the_wrong_order_are_caught(tmp_path, layouts):
    """Validation images that somebody sorted by the devkit's numbers as if they were labels."""
    swapped = dict(zip(tiny.CLASSES, tiny.NUMBERED, strict=True))
    source = tiny.write_folders(tmp_path / "source", DATA, place=swapped.get)
    with pytest.raises(DamagedData) as caught:
        prepare(source, tmp_path / "out", tiny.declaration(DATA))
    layouts.one_line(caught, "ILSVRC2012_val_0000000", "wrong classes")


def test_tars_without_an_end_are_read(prepared, tmp_path):
    """Some programs leave out the zeros at the end; the next class's tar is not this one's."""
    tars = [(name, raw.rstrip(b"\0")) for name, raw in tiny.class_tars(DATA)]
    tars = [(name, raw + b"\0" * (-len(raw) % 512)) for name, raw in tars]
    source = tiny.write_archives(tmp_path / "source", DATA, train=tiny.tar(tars))

    assert prepare(source, tmp_path / "out", tiny.declaration(DATA)) == verify_data(prepared)


def test_an_expected_fingerprint_is_compared(archives, tmp_path, layouts):
    """Another one than declared writes nothing."""
    declared = {**archives[1], "fingerprint": "0" * 64}
    with pytest.raises(DamagedData) as caught:
        prepare(archives[0], tmp_path / "out", declared)
    layouts.one_line(caught, "imagenet", "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_without_a_source_the_way_to_get_it_is_told(tmp_path, layouts):
    """Nothing is downloaded; one line says where to register and what to pass."""
    with pytest.raises(UserError) as caught:
        provide(tmp_path, declaration("imagenet"))
    layouts.one_line(caught, "register at https://image-net.org", "--source", *tiny.FILES.values())


@pytest.mark.parametrize("what", ["nothing", "a file", "an empty folder", "two archives"])
def test_a_source_of_another_kind_is_refused(tmp_path, layouts, archives, what):
    """What is expected and what is absent are named."""
    source = tmp_path / "source"
    if what == "a file":
        source.write_text("x")
    elif what != "nothing":
        source.mkdir()
    if what == "two archives":
        for role in ("train", "devkit"):
            name = tiny.FILES[role]
            (source / name).write_bytes((archives[0] / name).read_bytes())
    with pytest.raises(UserError) as caught:
        prepare(source, tmp_path / "out", archives[1])
    layouts.one_line(caught, source, "train/<wnid>/ and val/<wnid>/")
    absent = str(caught.value).rpartition("absent: ")[2].split(", ")
    expected = [tiny.FILES["test"]] if what == "two archives" else list(tiny.FILES.values())
    assert absent == expected


def test_it_is_prepared_through_the_one_entry(archives, prepared, tmp_path):
    """`ingest.prepare.provide` prepares it and opens it in its form."""
    data = provide(tmp_path, archives[1], archives[0])

    assert isinstance(data, Sharded)
    assert data.fingerprint == open_data(prepared).fingerprint
    assert (tmp_path / "imagenet" / "train-0000.arrow").is_file()


def test_the_declaration_agrees_with_independent_sources():
    """Classes as timm lists them, constants and sizes as torchvision's weights were trained."""
    declared = declaration("imagenet")
    timm = Path(importlib.util.find_spec("timm").origin).parent
    listed = (timm / "data/_info/imagenet_synsets.txt").read_text().split()
    preset = ResNet50_Weights.IMAGENET1K_V1.transforms()

    assert declared["class_names"] == listed == sorted(listed)
    assert (declared["mean"], declared["std"]) == (preset.mean, preset.std)
    assert declared["image"] == [3, *preset.crop_size, *preset.crop_size]
    assert declared["classes"] == len(listed) == 1000
    assert set(declared["known"].values()) <= set(listed)
    assert {"train", "test", "devkit"} == set(declared["archives"])
    for split, total in declared["splits"].items():
        fewest, most = declared["each"][split]
        assert 1000 * fewest <= total <= 1000 * most


def test_the_evaluation_pipeline_is_that_of_published_weights():
    """To one of 255 levels the preset of torchvision, which resizes in float32."""
    preset = ResNet50_Weights.IMAGENET1K_V1.transforms()
    raw = tiny.picture(np.random.RandomState(1), (500, 375))
    image = torch.from_numpy(np.array(Image.open(io.BytesIO(raw)))).permute(2, 0, 1)
    _, plain = transforms("none", (3, 224, 224))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (preset.mean, preset.std))

    theirs = (preset(image) * std + mean) * 255
    assert (plain(image) - theirs).abs().max() < 1.001
    assert (plain(image) - theirs).abs().mean() < 0.2
