"""The one entry to preparing: a given source, a download, or a stand-in."""

import hashlib

import pytest
from families import declaration

from kdbench.data.ingest.prepare import prepare, provide
from kdbench.data.stored.arrays import verify
from kdbench.errors import BadValue, UserError


def declared(family, **changes):
    """A tiny data set's declaration with the module of the real one."""
    return {**family.declared(**changes), "module": family.real["module"]}


def test_a_given_source_is_taken(tmp_path, family):
    """With a source there is no download: this declaration's address leads nowhere."""
    source = family.write_folders(tmp_path / "source", family.content())

    fingerprint = prepare(declared(family), source, tmp_path / "out")

    assert fingerprint == verify(tmp_path / "out")


def test_without_a_source_the_archive_is_downloaded(tmp_path, family, server, monkeypatch):
    """It stays in the user's cache, checked, and serves the next preparation."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    packed = family.write_archive(tmp_path / family.archive, family.content())
    server.data = packed.read_bytes()
    checksum = "md5:" + hashlib.md5(server.data).hexdigest()
    archive = {"url": server.url, "root": family.root, "checksum": checksum}
    known = declared(family, archive={**archive, "size": len(server.data)})

    first = provide(tmp_path / "data", known)
    second = provide(tmp_path / "data", known)
    third = prepare(known, None, tmp_path / "two")

    assert first.fingerprint == second.fingerprint == third == verify(tmp_path / "two")
    assert len(server.ranges) == 1
    assert [path.name for path in (tmp_path / "cache" / "kdbench").iterdir()] == ["archive.tar.gz"]


def test_what_is_prepared_is_not_prepared_again(tmp_path, family):
    """The second call takes what is there; a source that is given replaces it."""
    source, other = (
        family.write_folders(tmp_path / str(seed), family.content(seed)) for seed in (0, 1)
    )
    first = provide(tmp_path / "data", declared(family), source)

    assert provide(tmp_path / "data", declared(family)).fingerprint == first.fingerprint
    renewed = provide(tmp_path / "data", declared(family), other)
    assert renewed.fingerprint != first.fingerprint


def test_a_failed_download_prepares_nothing(tmp_path, family, server, layouts):
    """The error speaks of the address and of a local copy."""
    server.status = 404
    archive = {"url": server.url, "root": family.root, "checksum": "md5:" + "0" * 32}
    with pytest.raises(UserError) as caught:
        known = declared(family, archive=archive)
        prepare(known, None, tmp_path / "out", cache=tmp_path / "cache")
    layouts.one_line(caught, server.url, "404", "as the source")
    assert not (tmp_path / "out").exists()


def test_a_data_set_without_archive_needs_a_source(tmp_path):
    """What cannot be downloaded says so."""
    known = {"name": "x", "module": "kdbench.data.sets.cinic10", "how": "Request."}
    with pytest.raises(BadValue, match=r"or a source; Request\."):
        prepare(known, None, tmp_path / "out")


@pytest.mark.parametrize(
    ("archive", "found"),
    [
        (None, "found 'no url and no checksum', expected both to download it by, or a source; How"),
        ({"url": "https://example.org/x.zip"}, "found 'no checksum', expected both"),
    ],
)
def test_what_a_download_lacks_is_said_in_words(tmp_path, archive, found):
    """No empty braces; and how to get the images."""
    changes = {"archive": archive} if archive else {}
    described = {**declaration("nyuv2_labelled"), "how": "How.", **changes}
    with pytest.raises(BadValue) as caught:
        provide(tmp_path, described)
    assert found in str(caught.value) and "{}" not in str(caught.value)


def test_a_stand_in_cannot_be_prepared_from_a_source(tmp_path):
    """The digits have no archive and no layout."""
    with pytest.raises(BadValue, match="no prepare"):
        prepare(declaration("digits"), tmp_path, tmp_path / "out")
