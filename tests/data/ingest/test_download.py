"""Downloads that break, lie or cannot start."""

import hashlib
import socket

import numpy as np
import pytest

from kdbench.data.ingest import download
from kdbench.data.ingest.download import digest, fetch
from kdbench.errors import BadValue, DamagedData, TryAgain, UserError

DATA = np.random.default_rng(0).bytes(1_000_000)
MD5 = "md5:" + hashlib.md5(DATA).hexdigest()


def listing(folder):
    """Names in a folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("checksum", [MD5, "sha256:" + hashlib.sha256(DATA).hexdigest()])
def test_a_download_arrives_whole_and_tells_its_progress(server, tmp_path, checksum):
    """The file has the server's bytes, and the callback saw them come."""
    server.data, seen = DATA, []

    path = fetch(
        server.url, tmp_path / "new" / "a.tar", checksum, len(DATA), lambda *n: seen.append(n)
    )

    assert path.read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert len(seen) > 1
    assert listing(path.parent) == ["a.tar"]


@pytest.mark.parametrize("resumes", [True, False], ids=["ranges", "no ranges"])
def test_a_broken_download_goes_on(server, tmp_path, layouts, resumes):
    """After a break the second call asks for the rest only, and copes with a server that cannot."""
    server.data, server.breaks_after, server.resumes = DATA, 600_000, resumes
    with pytest.raises(TryAgain) as caught:
        fetch(server.url, tmp_path / "a.tar", MD5)
    layouts.one_line(caught, server.url, 600_000, len(DATA))
    assert listing(tmp_path) == ["a.tar.part"]

    server.breaks_after = None
    fetch(server.url, tmp_path / "a.tar", MD5)

    assert (tmp_path / "a.tar").read_bytes() == DATA
    assert server.ranges == [None, "bytes=600000-"]
    assert listing(tmp_path) == ["a.tar"]


@pytest.mark.parametrize("size", [None, len(DATA)])
def test_a_part_that_is_already_whole_is_taken(server, tmp_path, size):
    """Killed between the last byte and the renaming, the download only needs the renaming."""
    server.data = DATA
    (tmp_path / "a.tar.part").write_bytes(DATA)

    assert fetch(server.url, tmp_path / "a.tar", MD5, size).read_bytes() == DATA


def test_a_file_that_is_there_is_not_downloaded_again(server, tmp_path):
    """With the right checksum the server is not even asked."""
    (tmp_path / "a.tar").write_bytes(DATA)

    fetch(server.url, tmp_path / "a.tar", MD5)

    assert server.ranges == []


def test_a_wrong_checksum_keeps_nothing(server, tmp_path, layouts):
    """The error tells both checksums, the folder stays empty, and a good server mends it."""
    server.data = DATA[:-1] + b"x"
    with pytest.raises(DamagedData) as caught:
        fetch(server.url, tmp_path / "a.tar", MD5)
    layouts.one_line(caught, server.url, MD5, hashlib.md5(server.data).hexdigest(), "source")
    assert listing(tmp_path) == []

    server.data = DATA
    assert fetch(server.url, tmp_path / "a.tar", MD5).read_bytes() == DATA


def test_a_damaged_part_does_not_block_for_ever(server, tmp_path):
    """A part with wrong bytes fails once, and the next call starts afresh."""
    server.data = DATA
    (tmp_path / "a.tar.part").write_bytes(b"wrong")
    with pytest.raises(DamagedData):
        fetch(server.url, tmp_path / "a.tar", MD5)

    assert fetch(server.url, tmp_path / "a.tar", MD5).read_bytes() == DATA


def test_a_wrong_size_is_refused_before_the_download(server, tmp_path, layouts):
    """A server that offers another file is found out by its length."""
    server.data = DATA
    with pytest.raises(DamagedData) as caught:
        fetch(server.url, tmp_path / "a.tar", MD5, len(DATA) + 1)
    layouts.one_line(caught, f"{len(DATA)} bytes", f"{len(DATA) + 1} bytes")
    assert listing(tmp_path) == []


@pytest.mark.parametrize("status", [404, 500])
def test_a_refusal_of_the_server_is_one_line(server, tmp_path, layouts, status):
    """It has the answer, and what to do without that server."""
    server.status = status
    with pytest.raises(UserError) as caught:
        fetch(server.url, tmp_path / "a.tar", MD5)
    layouts.one_line(caught, server.url, status, "as the source")
    assert listing(tmp_path) == []


def test_an_absent_server_is_one_line(tmp_path, layouts):
    """It also says how to do without the network."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a.tar"
    with pytest.raises(UserError) as caught:
        fetch(url, tmp_path / "a.tar", MD5)
    layouts.one_line(caught, url, "cannot be reached", "as the source")
    assert listing(tmp_path) == []


def test_a_full_disk_in_the_middle_of_a_download_keeps_nothing(
    server, tmp_path, layouts, small_disk
):
    """One line, and the part gives its room back."""
    server.data = DATA
    with small_disk(300_000), pytest.raises(UserError) as caught:
        fetch(server.url, tmp_path / "a.tar", MD5)
    layouts.one_line(caught, "no room left")
    assert listing(tmp_path) == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://localhost/a"])
def test_only_web_addresses_are_downloaded(tmp_path, url):
    """A declaration cannot make the program read local files as downloads."""
    with pytest.raises(BadValue):
        fetch(url, tmp_path / "a", MD5)


def test_unknown_checksums_are_refused(tmp_path):
    """Only the two algorithms that declarations use."""
    with pytest.raises(BadValue, match="sha256"):
        digest(tmp_path, "sha1")


def test_a_file_of_many_blocks_is_tried(server, tmp_path):
    """The test data is larger than one block, or the tests above show nothing."""
    assert len(DATA) > 3 * download.BLOCK
