"""The one entry to preparing, and the declarations that it reads."""

import hashlib
from pathlib import Path

import pytest

from kdbench.data import sources
from kdbench.data.augment import Augment
from kdbench.data.dataset import Prepared, verify
from kdbench.data.digits import load
from kdbench.errors import BadValue, UnknownName, UserError

NAMES = sorted(path.stem for path in Path(sources.FOLDER).glob("*.toml"))
DOWNLOADED = [name for name in NAMES if "archive" in sources.declaration(name)]


def test_a_given_source_is_taken(tmp_path, layouts):
    """With a source there is no download: this declaration's address leads nowhere."""
    source = layouts.write_folders(tmp_path / "source", layouts.content())

    found = sources.prepare(layouts.declaration(), source, tmp_path / "out")

    assert found == verify(tmp_path / "out")


def test_without_a_source_the_archive_is_downloaded(tmp_path, layouts, server, monkeypatch):
    """It stays in the user's cache, checked, and serves the next preparation."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = layouts.official(layouts.content(), layouts.python2)
    server.data = layouts.write_archive(tmp_path / "a.tar.gz", files).read_bytes()
    checksum = "md5:" + hashlib.md5(server.data).hexdigest()
    archive = {"url": server.url, "root": layouts.ROOT, "checksum": checksum}
    declared = layouts.declaration(archive={**archive, "size": len(server.data)})

    first = sources.prepare(declared, None, tmp_path / "one")
    second = sources.prepare(declared, None, tmp_path / "two")

    assert first == second == verify(tmp_path / "two")
    assert len(server.ranges) == 1
    assert (tmp_path / "cache" / "kdbench" / "cifar-100-python.tar.gz").is_file()


def test_a_failed_download_prepares_nothing(tmp_path, layouts, server):
    """The error speaks of the address and of a local copy."""
    server.status = 404
    archive = {"url": server.url, "root": layouts.ROOT, "checksum": "md5:" + "0" * 32}
    declared = layouts.declaration(archive=archive)
    with pytest.raises(UserError) as caught:
        sources.prepare(declared, None, tmp_path / "out", cache=tmp_path / "cache")
    layouts.one_line(caught, server.url, "404", "as the source")
    assert not (tmp_path / "out").exists()


def test_an_unknown_data_set_is_named(tmp_path):
    """A typing error gets the nearest name."""
    with pytest.raises(UnknownName, match="did you mean 'cifar100'"):
        sources.prepare("cifar10O", None, tmp_path / "out")


def test_a_data_set_without_archive_needs_a_source(tmp_path):
    """What cannot be downloaded says so."""
    with pytest.raises(BadValue, match="a source"):
        sources.prepare("digits", None, tmp_path / "out")


def test_the_tiny_data_set_has_no_stand_in(tmp_path, layouts):
    """A declaration without a section for the smoke scale says so."""
    with pytest.raises(BadValue, match="stand_in"):
        sources.prepare_stand_in(layouts.declaration(), tmp_path / "out")


@pytest.mark.parametrize("name", NAMES)
def test_declarations_are_complete(name):
    """Every key that other parts read is there, of the right kind."""
    declared = sources.declaration(name)

    assert declared["name"] == name
    assert {"label", "citation", "licence", "source", "module"} <= set(declared)
    assert isinstance(declared["revision"], int)
    assert isinstance(declared["classes"], int)
    assert len(declared["image"]) == 3
    assert (sources.FOLDER / f"{declared['module']}.py").is_file()


@pytest.mark.parametrize("name", DOWNLOADED)
def test_downloadable_data_sets_say_what_to_expect(name):
    """Address, checksum, size, counts, statistics and fingerprint."""
    declared = sources.declaration(name)
    archive = declared["archive"]

    assert archive["url"].startswith("https://")
    assert archive["checksum"].startswith(("md5:", "sha256:"))
    assert archive["size"] > 0
    assert all(total % declared["classes"] == 0 for total in declared["splits"].values())
    assert len(declared["mean"]) == len(declared["std"]) == declared["image"][0]
    assert len(declared["fingerprint"]) == 64


@pytest.mark.parametrize("name", DOWNLOADED)
def test_every_data_set_has_a_stand_in_of_its_own(name, tmp_path):
    """It keeps the data set's name, says what it is, and is not turned round."""
    smoke = sources.declaration(name)["smoke"]
    stand_in = sources.declaration(smoke["stand_in"])

    found = sources.prepare_stand_in(name, tmp_path / "out")

    data = Prepared.open(tmp_path / "out")
    assert (data.name, data.stand_in, data.fingerprint) == (name, smoke["stand_in"], found)
    assert list(data.image) == stand_in["image"]
    assert len(data.classes) == stand_in["classes"]
    total = sum(len(data.labels(split)) for split in data.splits)
    assert total == stand_in["images"] == len(load()[1])
    assert not Augment.parse(smoke["augment"]).flip
