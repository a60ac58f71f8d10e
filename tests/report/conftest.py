"""Projects of made-up records, and pages without libraries."""

import pytest
from made_up import WITHOUT_LIBRARIES, Project


@pytest.fixture
def project(tmp_path):
    """Makes projects of any params, all in one temporary folder."""
    return lambda **params: Project(tmp_path, **params)


@pytest.fixture(autouse=True)
def without_libraries(request, monkeypatch):
    """Pages without scripts of libraries, but in a browser: bundling Vega takes seconds."""
    if "browser" not in request.module.__name__:
        monkeypatch.setattr(WITHOUT_LIBRARIES, lambda _: None)
