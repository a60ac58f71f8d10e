"""Damaged images, named and counted before a training."""

from hashlib import sha256

import pytest
from encoded_images import IMAGE, MEAN, ROWS, STD
from typer.testing import CliRunner

from kdbench.cli import app
from kdbench.data.loaders import survey
from kdbench.data.loaders.survey import damaged_images
from kdbench.data.stored.shards import Sharded, write


@pytest.fixture
def data(tmp_path):
    """Nineteen images in `data/toy`, two of them cut off after 100 bytes."""
    rows = [(0, raw[:100] if place in (3, 11) else raw) for place, (_, raw) in enumerate(ROWS)]
    rows.sort(key=lambda row: sha256(row[1]).digest())
    about = {"name": "toy", "image": IMAGE, "mean": MEAN, "std": STD, "stand_in": None}
    write(tmp_path / "data" / "toy", about, {"train": rows}, ["a"])
    return Sharded.open(tmp_path / "data" / "toy")


@pytest.mark.parametrize("workers", [0, 2])
def test_every_damaged_image_is_a_line_and_no_other_is(data, monkeypatch, workers):
    """In order, whatever the number of processes and the size of their parts."""
    monkeypatch.setattr(survey, "CHUNK", 4)
    broken = [place for place, raw in enumerate(data.encoded("train")) if len(raw) == 100]
    lines = [*damaged_images(data.encoded("train"), workers)]

    assert len(lines) == len(broken) == 2
    for line, place in zip(lines, broken, strict=True):
        assert f"train-0000.arrow, image {place}: " in line and "100 bytes" in line


def test_the_command_names_and_counts_them(data, tmp_path, monkeypatch):
    """Its exit code is that of damaged data."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["data", "decode", "toy", "--workers", "0"])

    assert result.exit_code == 3
    lines = result.stdout.splitlines()
    assert lines[-1] == "toy, train: 2 of 19 images cannot be decoded"
    assert sum("train-0000.arrow, image" in line for line in lines) == 2
