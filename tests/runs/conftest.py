"""Every test here runs phases in this process."""

import pytest


@pytest.fixture(autouse=True)
def process_is_put_back(process_as_before):
    """Leave the process as it was before each test."""


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory):
    """The checkpoint of `imports.trained_checkpoint` and its accuracy; never changed."""
    from imports import small_project, trained_checkpoint

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDBENCH_DEVICE", "cpu")
        return trained_checkpoint(small_project(tmp_path_factory.mktemp("trained")))
