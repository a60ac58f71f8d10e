"""Data sets of one's own: unequal classes, any size, class folders or parquet."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from kdbench.cli import app
from kdbench.cli.data_set import write_data_set
from kdbench.data.ingest.own import fitted_pixels, prepare, survey
from kdbench.data.ingest.own_pictures import own_pictures
from kdbench.data.stored.arrays import Prepared
from kdbench.errors import UserError
from kdbench.plan.components import find_components
from kdbench.plan.graph import load_graph

COUNTS = {"train": {"rose": 3, "iris": 7, "10 aster": 12}, "test": {"rose": 1, "iris": 2}}
COUNTS["test"]["10 aster"] = 2


def encoded(number, size=(12, 12), kind="PNG"):
    """A picture file of noise of its own."""
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def pictures(splits):
    """(split, class, file) of each picture of unequal classes."""
    names = [(s, c) for s in splits for c, count in COUNTS[s].items() for _ in range(count)]
    return [(split, name, encoded(number)) for number, (split, name) in enumerate(names)]


def as_folders(root, splits=("train", "test"), names=("train", "test")):
    """Class folders; names of the splits' folders may differ."""
    for number, (split, name, data) in enumerate(pictures(splits)):
        folder = root / dict(zip(splits, names, strict=True))[split] / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(data)
    return root


def as_parquet(root, columns=("image", "label"), named=True):
    """Files as Hugging Face writes them, the training images in two shards."""
    (root / "data").mkdir(parents=True)
    classes = sorted(COUNTS["train"])
    feature = {"_type": "ClassLabel", "names": classes}
    told = {"huggingface": json.dumps({"info": {"features": {columns[1]: feature}}})}
    for split in COUNTS:
        rows = [(classes.index(c), data) for s, c, data in pictures(COUNTS) if s == split]
        for shard in range(2 if split == "train" else 1):
            part = rows[shard::2] if split == "train" else rows
            images = [{"bytes": data, "path": None} for _, data in part]
            table = pa.table({columns[0]: images, columns[1]: [label for label, _ in part]})
            table = table.replace_schema_metadata(told if named else None)
            pq.write_table(table, root / "data" / f"{split}-0000{shard}-of-00002.parquet")
    return root


def declared(source, size=12, **more):
    """What a declaration of this source says."""
    content = survey(source, more)
    return {
        "name": "flowers",
        "classes": len(content.classes),
        "image": [3, size, size],
        "splits": content.splits,
        **more,
    }


def prepared(source, out, **more):
    """The source, prepared."""
    prepare(source, out, declared(source, **more))
    return Prepared.open(out)


def test_unequal_classes_in_folders_are_prepared_bit_for_bit(tmp_path):
    """Counts by class, and every file's very pixels, because the size is the declared one."""
    data = prepared(as_folders(tmp_path / "photos"), tmp_path / "out")

    assert data.classes == ("10 aster", "iris", "rose")
    for split, counts in COUNTS.items():
        expected = [counts[name] for name in data.classes]
        assert np.bincount(data.labels(split)).tolist() == expected
    files = {np.array(Image.open(io.BytesIO(d))).tobytes() for s, _, d in pictures(COUNTS)}
    assert {image.tobytes() for s in COUNTS for image in data.images(s)} == files


def test_parquet_and_folders_of_the_same_pictures_are_one_data_set(tmp_path):
    """Their fingerprints are equal; the classes' names come from Hugging Face's metadata."""
    one = prepared(as_folders(tmp_path / "photos"), tmp_path / "one")
    two = prepared(as_parquet(tmp_path / "hub"), tmp_path / "two")
    assert one.fingerprint == two.fingerprint and one.classes == two.classes


def test_columns_of_another_name_are_found_or_declared(tmp_path):
    """The only image and label columns need no name; without metadata labels are numbers."""
    data = prepared(as_parquet(tmp_path / "hub", ("img", "kind"), named=False), tmp_path / "out")
    assert data.classes == ("0", "1", "2")
    with pytest.raises(UserError, match=r"image: found 'picture', expected the column of it"):
        survey(tmp_path / "hub", {"keys": {"image": "picture"}})


@pytest.mark.parametrize("name", ["val", "validation", "Test"])
def test_a_validation_split_serves_as_test_where_there_is_none(tmp_path, name):
    """Under any of its names."""
    source = as_folders(tmp_path / "photos", names=("train", name))
    assert survey(source, {}).splits == {"train": 22, "test": 5}


def test_class_folders_alone_give_a_share_of_every_class_for_the_test(tmp_path):
    """At least one image of each, the same ones every time, and equal files on one side."""
    source = as_folders(tmp_path, splits=("train",), names=(".",))
    twins = [source / "iris" / f"twin{number}.png" for number in range(6)]
    for twin in twins:
        twin.write_bytes(encoded(999))
    with pytest.raises(UserError, match=r"test_share: found 0\.0, expected a share"):
        survey(source, {})
    runs = [list(own_pictures(source, {"test_share": 0.25})) for _ in range(2)]

    assert runs[0] == runs[1]
    by_split = {s: [p for p in runs[0] if p.split == s] for s in ("train", "test")}
    assert {p.label for p in by_split["test"]} == set(COUNTS["train"])
    assert not {p.data for p in by_split["train"]} & {p.data for p in by_split["test"]}


def test_a_picture_of_another_size_is_cropped_in_the_middle_and_resized(tmp_path):
    """A wide one loses its sides; of one with a red middle only red is left."""
    pixels = np.zeros((30, 90, 3), np.uint8)
    pixels[:, 20:70, 0] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    (picture,) = [
        p._replace(data=(tmp_path / "wide.png").read_bytes())
        for p in list(own_pictures(as_folders(tmp_path / "x"), {}))[:1]
    ]
    fitted = fitted_pixels(picture, 10, 10)
    assert fitted.shape == (10, 10, 3) and (fitted == [255, 0, 0]).all()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "train/rose/0.png").write_bytes(b"x"), "an unreadable picture of 1"),
        (lambda root: (root / "train").rename(root / "trein"), "found no pictures|test_share"),
        (lambda root: (root / "x.parquet").write_bytes(b"PAR1"), "begins with train"),
        (
            lambda root: [(root / f"{s}-0.parquet").write_bytes(b"PAR1") for s in COUNTS],
            "parquet file",
        ),
    ],
)
def test_a_source_that_cannot_be_used_is_one_line(tmp_path, spoil, message):
    """It names the file; nothing was prepared."""
    source = as_folders(tmp_path / "photos")
    spoil(source)
    with pytest.raises(UserError, match=message) as caught:
        survey(source, {})
    assert "\n" not in str(caught.value)


def test_hidden_labels_are_refused(tmp_path):
    """Hugging Face's test splits have -1 where the labels are kept."""
    table = pa.table({"image": [{"bytes": encoded(1), "path": None}], "label": [-1]})
    pq.write_table(table, tmp_path / "train-0.parquet")
    with pytest.raises(UserError, match="row 0: found label -1"):
        list(own_pictures(tmp_path, {"test_share": 0.5}))


def test_one_command_makes_a_data_set_that_can_be_planned(tmp_path, monkeypatch):
    """It writes both files, prepares the pictures, and prints what params.yaml needs."""
    as_folders(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    words = ["data", "new", "flowers", "--source", "photos", "--size", "16"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "5 test, 22 train images, 3 classes" in " ".join(done.output.split())
    assert Prepared.open(tmp_path / "data/flowers").image == (3, 16, 16)

    table = {"id": "t", "dataset": "flowers", "pairs": ["resnet56:resnet20"], "methods": ["kd"]}
    params = {"scale": "paper", "exhibits": ["own"], "tables": [table], "plugins": ["datasets"]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (cell,) = load_graph(tmp_path).cells["own/t"]
    assert cell.evaluation.data.module.endswith("flowers.py")
    again = CliRunner().invoke(app, words)
    assert again.exit_code != 0 and "already exists" in str(again.output) + str(again.exception)


@pytest.mark.parametrize(
    ("name", "message"),
    [("Flowers", "small letters"), ("cifar10", "a name that no data set has"), ("..", "letters")],
)
def test_a_name_that_cannot_be_is_refused(tmp_path, name, message):
    """Before anything is read."""
    with pytest.raises(UserError, match=message):
        write_data_set(name, tmp_path, tmp_path / "sets", 8, {})
    assert not (tmp_path / "sets").exists()


def test_pictures_of_several_sizes_want_a_size(tmp_path):
    """The line names the smallest and the largest."""
    source = as_folders(tmp_path / "photos")
    (source / "train/rose/large.png").write_bytes(encoded(5, (40, 20)))
    with pytest.raises(UserError, match="12 x 12 to 40 x 20 pixels', expected --size"):
        write_data_set("flowers", source, tmp_path / "sets", None, {})
    files, _ = write_data_set("flowers", source, tmp_path / "sets", 24, {})
    described = find_components([str(tmp_path / "sets")]).get("dataset", "flowers", where="x")
    assert described.declaration.image == [3, 24, 24] and all(file.is_file() for file in files)
