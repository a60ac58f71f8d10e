"""The worked examples run, and end with what their pages promise."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
PRINTED = {
    "add_a_loss": "Attention gap",
    "check_a_claim": "smallest lead that these seeds decide",
    "choose_a_method": "exported: README.md, architecture.json, model.safetensors",
}


def test_every_example_is_run():
    """A new one needs a line above."""
    assert {file.stem for file in EXAMPLES.glob("*.py")} == set(PRINTED)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRINTED)
def test_an_example_runs_to_its_picture(name, tmp_path):
    """As a script in an empty folder, at scale smoke."""
    script = [sys.executable, str(EXAMPLES / f"{name}.py"), str(tmp_path / "project")]

    result = subprocess.run(script, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    assert PRINTED[name] in result.stdout
    assert (tmp_path / "project" / f"{name}.png").stat().st_size > 10_000
