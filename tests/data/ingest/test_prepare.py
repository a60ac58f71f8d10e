"""The one entry to preparing, and the declarations that it reads."""

import hashlib
from pathlib import Path

import pytest

from kdbench.data.ingest import prepare as sources
from kdbench.data.loaders.augment import Augment
from kdbench.data.sets.digits import load
from kdbench.data.stored.arrays import Prepared, verify
from kdbench.errors import BadValue, UnknownName, UserError

NAMES = sorted(path.stem for path in Path(sources.FOLDER).glob("*.toml"))
DOWNLOADED = [name for name in NAMES if "archive" in sources.declaration(name)]
SMOKING = [name for name in NAMES if "smoke" in sources.declaration(name)]
STAND_INS = {  # results of the smoke scale hang on these very images: these are for ever
    "cifar10": "9b1aafd45ed703427db002a6bd86626f28ad505b09aabf8820a378bbe0649cba",
    "cifar100": "8b50cd3d3b4fd08c39811422c92c3e6cee0018c6f402402068859f0ec8350538",
    "cinic10": "42ad2a6ca57a26b8b61e50e12170a0e2b619d2744e8006aaadb89404b8497cdf",
    "imagenet": "efc690d3d78b1e99f36b7c33409cc45e6481b0ea1266fdb0f3e352c342afd84c",
    "tinyimagenet": "0b1fa95499f899427468c09a882e93e2011c13106b808ab301926ff352773667",
}


def declared(family, **changes):
    """A tiny data set's declaration with the module of the real one."""
    return {**family.declared(**changes), "module": family.real["module"]}


def test_a_given_source_is_taken(tmp_path, family):
    """With a source there is no download: this declaration's address leads nowhere."""
    source = family.write_folders(tmp_path / "source", family.content())

    found = sources.prepare(declared(family), source, tmp_path / "out")

    assert found == verify(tmp_path / "out")


def test_without_a_source_the_archive_is_downloaded(tmp_path, family, server, monkeypatch):
    """It stays in the user's cache, checked, and serves the next preparation."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    packed = family.write_archive(tmp_path / family.archive, family.content())
    server.data = packed.read_bytes()
    checksum = "md5:" + hashlib.md5(server.data).hexdigest()
    archive = {"url": server.url, "root": family.root, "checksum": checksum}
    known = declared(family, archive={**archive, "size": len(server.data)})

    first = sources.provide(tmp_path / "data", known)
    second = sources.provide(tmp_path / "data", known)
    third = sources.prepare(known, None, tmp_path / "two")

    assert first.fingerprint == second.fingerprint == third == verify(tmp_path / "two")
    assert len(server.ranges) == 1
    assert [path.name for path in (tmp_path / "cache" / "kdbench").iterdir()] == ["archive.tar.gz"]


def test_what_is_prepared_is_not_prepared_again(tmp_path, family):
    """But a source that is given replaces it."""
    source, other = (
        family.write_folders(tmp_path / str(seed), family.content(seed)) for seed in (0, 1)
    )
    first = sources.provide(tmp_path / "data", declared(family), source)

    assert sources.provide(tmp_path / "data", declared(family)).fingerprint == first.fingerprint
    renewed = sources.provide(tmp_path / "data", declared(family), other)
    assert renewed.fingerprint != first.fingerprint


def test_a_failed_download_prepares_nothing(tmp_path, family, server, layouts):
    """The error speaks of the address and of a local copy."""
    server.status = 404
    archive = {"url": server.url, "root": family.root, "checksum": "md5:" + "0" * 32}
    with pytest.raises(UserError) as caught:
        known = declared(family, archive=archive)
        sources.prepare(known, None, tmp_path / "out", cache=tmp_path / "cache")
    layouts.one_line(caught, server.url, "404", "as the source")
    assert not (tmp_path / "out").exists()


def test_an_unknown_data_set_is_named():
    """A typing error gets the nearest name."""
    with pytest.raises(UnknownName, match="did you mean 'tinyimagenet'"):
        sources.declaration("tiny-imagenet")


def test_a_data_set_without_archive_needs_a_source(tmp_path):
    """What cannot be downloaded says so."""
    known = {"name": "x", "module": "kdbench.data.sets.cinic10", "how": "Request."}
    with pytest.raises(BadValue, match=r"or a source; Request\."):
        sources.prepare(known, None, tmp_path / "out")


def test_a_stand_in_cannot_be_prepared_from_a_source(tmp_path):
    """The digits have no archive and no layout."""
    with pytest.raises(BadValue, match="no prepare"):
        sources.prepare(sources.declaration("digits"), tmp_path, tmp_path / "out")


@pytest.mark.parametrize("name", NAMES)
def test_declarations_are_complete(name):
    """Every key that other parts read is there, of the right kind."""
    declared = sources.declaration(name)

    assert declared["name"] == name
    assert {"label", "citation", "licence", "source", "how"} <= set(declared)
    assert isinstance(declared["revision"], int)
    assert isinstance(declared["classes"], int)
    assert len(declared["image"]) == 3
    assert (sources.FOLDER / f"{declared['module'].rpartition('.')[2]}.py").is_file()


@pytest.mark.parametrize("name", DOWNLOADED)
def test_downloadable_data_sets_say_what_to_expect(name):
    """Address, checksum, size, counts, class names and statistics."""
    declared = sources.declaration(name)
    archive, names = declared["archive"], declared["class_names"]

    assert archive["url"].startswith(("https://", "http://"))
    assert len(archive["checksum"].removeprefix("md5:")) == 32
    assert f"({archive['size'] / 1e6:.0f} MB)" in declared["how"]
    assert archive["root"]
    assert all(total % declared["classes"] == 0 for total in declared["splits"].values())
    assert names == sorted(set(names))
    assert len(names) == declared["classes"]
    assert len(declared["mean"]) == len(declared["std"]) == declared["image"][0]


@pytest.mark.parametrize("name", SMOKING)
def test_every_data_set_has_a_stand_in_of_its_own(name, tmp_path):
    """It keeps the data set's name and splits, says what it is, and is not turned round."""
    declared = sources.declaration(name)
    smoke = declared["smoke"]
    stand_in = sources.declaration(smoke["stand_in"])

    found = sources.prepare_stand_in(name, smoke, stand_in, tmp_path / "out")

    data = Prepared.open(tmp_path / "out")
    assert (data.name, data.stand_in, data.fingerprint) == (name, smoke["stand_in"], found)
    assert found == STAND_INS.get(name, found)
    assert set(data.splits) == set(declared["splits"])
    assert list(data.image) == stand_in["image"]
    assert len(data.classes) == stand_in["classes"]
    total = sum(len(data.labels(split)) for split in data.splits)
    assert total == stand_in["images"] == len(load()[1])
    assert not Augment.parse(smoke["augment"]).flip


def test_no_two_data_sets_share_a_stand_in():
    """Else a mistake of one for the other would not be seen."""
    smokes = [sources.declaration(name)["smoke"] for name in SMOKING]

    assert len(set(STAND_INS.values())) == len(STAND_INS)
    for key in ("split_seed", "relabel"):
        assert len({smoke[key] for smoke in smokes}) == len(smokes)
