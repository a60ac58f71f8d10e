"""Projects driven by the real Snakemake, DVC and git."""

import shutil
from dataclasses import replace

import pytest
from servers import a_server
from small_project import new_project

from kdbench.workflow.served import SERVER


@pytest.fixture(scope="session")
def make_project():
    """Makes a committed project in a folder, with top-level keys of params.yaml changed."""
    return new_project


@pytest.fixture(scope="session")
def built_once(tmp_path_factory):
    """A project after `snakemake reproduce_all` and `dvc repro`, committed; never changed.

    Its jobs and those of its copies, which have the same code, are done by one server.
    """
    alone = new_project(tmp_path_factory.mktemp("built") / "project")
    with a_server(tmp_path_factory.mktemp("server"), alone.root / "kdbench") as (_, environment):
        project = replace(alone, server=environment[SERVER])
        project.snakemake()
        before = project.records()
        output = project("dvc", "repro")
        assert project.records() == before, output
        project.commit("First results")
        yield project


@pytest.fixture
def built(built_once, tmp_path):
    """A copy of the built project for one test to change."""
    return built_once.copy(tmp_path / "project")


@pytest.fixture(scope="session")
def edited_once(built_once, tmp_path_factory):
    """A copy whose KD got another temperature before `dvc repro`; never changed.

    The teacher's folder was deleted, so that the student's job has to bring it back.
    """
    project = built_once.copy(tmp_path_factory.mktemp("edited") / "project")
    (teacher,) = (project.root / "results/lite/artifacts/teacher/cifar100").iterdir()
    shutil.rmtree(teacher)
    project.edit(methods={"kd": {"temperature": 8.0}})
    project("dvc", "repro")
    return project


@pytest.fixture
def edited(edited_once, tmp_path):
    """A copy of the edited project for one test to change."""
    return edited_once.copy(tmp_path / "project")
