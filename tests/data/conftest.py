"""Tiny data sets for the tests of the preparation."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import families
import pytest


@pytest.fixture
def layouts():
    """The builders of `families.py`."""
    return families


@pytest.fixture
def kdbench_here(monkeypatch, capfd):
    """Runs a command in the folder of the process: exit code, output, errors."""
    from kdbench.cli import main

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["kdbench", *map(str, words)])
        with pytest.raises(SystemExit) as done:
            main()
        return done.value.code or 0, *capfd.readouterr()

    return run


@pytest.fixture(params=families.FAMILIES)
def family(request):
    """Every family of data sets in turn, of a few images."""
    return families.FAMILIES[request.param]


class Handler(BaseHTTPRequestHandler):
    """Serves `server.plan.data`, with the misbehaviour that the plan asks for."""

    def do_GET(self):
        """Answer with a range, an error, or a part of the bytes and a broken connection."""
        plan = self.server.plan
        asked = self.headers.get("Range")
        plan.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and plan.resumes else 0
        if plan.status != 200 or start >= len(plan.data):
            self.send_error(plan.status if plan.status != 200 else 416)
            return
        body = plan.data[start:]
        self.send_response(206 if start else 200)
        if start:
            last = len(plan.data) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(plan.data)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: plan.breaks_after])

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server():
    """A server on this machine; change its plan to make it misbehave."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.plan = SimpleNamespace(data=b"", status=200, resumes=True, breaks_after=None, ranges=[])
    http.plan.url = f"http://127.0.0.1:{http.server_port}/archive.tar.gz"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield http.plan
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def small_disk():
    """A context in which no file can grow beyond so many bytes, as on a full disk."""
    import resource
    from contextlib import contextmanager

    @contextmanager
    def limit(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit
