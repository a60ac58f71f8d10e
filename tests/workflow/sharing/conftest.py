"""Studies in folders of their own."""

import pytest
from made_up_study import Study


@pytest.fixture(name="study")
def study_fixture(tmp_path):
    """Makes studies, each in a folder of its own name."""
    return lambda name, **changes: Study(tmp_path / name, **changes)
