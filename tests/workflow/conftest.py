"""Projects driven by the real Snakemake, DVC and git."""

import pytest
from small_project import new_project


@pytest.fixture(scope="session")
def make_project():
    """Makes a committed project in a folder, with top-level keys of params.yaml changed."""
    return new_project


@pytest.fixture(scope="session")
def built_once(tmp_path_factory):
    """A project after `snakemake reproduce_all` and `dvc repro`, committed; never changed."""
    project = new_project(tmp_path_factory.mktemp("built") / "project")
    project.snakemake()
    before = project.records()
    output = project("dvc", "repro")
    assert project.records() == before, output
    project.commit("First results")
    return project


@pytest.fixture
def built(built_once, tmp_path):
    """A copy of the built project for one test to change."""
    return built_once.copy(tmp_path / "project")
