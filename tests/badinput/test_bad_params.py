"""Every bad params.yaml is refused in one line; see the table in `bad_params.py`."""

import pytest
from bad_params import cases
from refusal import refuse

CASES = cases()


@pytest.mark.parametrize("name", CASES, ids=lambda name: ascii(name)[:60])
def test_a_bad_params_yaml_is_one_line_that_says_where_and_what(
    tmp_path, capsys, monkeypatch, name
):
    """The line names the key, what was found, and what was expected or is nearest."""
    content, parts = CASES[name]
    (tmp_path / "params.yaml").write_bytes(content)

    line = refuse(tmp_path, ["status"], capsys, monkeypatch)

    assert "params.yaml" in line or "exhibits" in line
    assert all(part in line for part in parts), line
