"""Every bad word on the command line is refused in one line; see the tables in `bad_words.py`."""

import json
import shlex

import pytest
from bad_words import COMMANDS, CONFIGS, OVERRIDES
from refusal import contents, refuse

from kdbench.workflow.snakemake import plan_or_exit

PARAMS = "exhibits: [distpro/table1, dfa/tuning]\n"


def short(name):
    """A name of a case that fits on a line."""
    return ascii(name)[:60]


@pytest.fixture
def project(tmp_path):
    """A folder with a params.yaml that is as it should be."""
    (tmp_path / "params.yaml").write_text(PARAMS)
    return tmp_path


@pytest.mark.parametrize("text", OVERRIDES, ids=short)
def test_a_bad_override_is_one_line_that_says_where_and_what(project, capsys, monkeypatch, text):
    """The line names the option or the key in it."""
    line = refuse(project, ["status", "--override", text], capsys, monkeypatch)

    assert all(part in line for part in OVERRIDES[text]), line


@pytest.mark.parametrize("word", CONFIGS, ids=short)
def test_a_bad_word_of_snakemake_s_config_is_one_line(project, capsys, monkeypatch, word):
    """The line names the option or the key, and the Snakefile ends there."""
    monkeypatch.chdir(project)
    before = contents(project)

    with pytest.raises(SystemExit) as end:
        plan_or_exit({}, [word])

    line = capsys.readouterr().err
    assert end.value.code == 2 and line.count("\n") == 1, line
    assert all(part in line for part in CONFIGS[word]), line
    assert contents(project) == before


@pytest.mark.parametrize("words", COMMANDS, ids=short)
def test_a_bad_command_is_one_line_that_says_what_to_do(project, capsys, monkeypatch, words):
    """Names, options and arguments alike."""
    line = refuse(project, shlex.split(words), capsys, monkeypatch)

    assert all(part in line for part in COMMANDS[words]), line


def test_a_key_given_twice_to_config_is_refused(project, capsys, monkeypatch):
    """Snakemake itself would take the second."""
    monkeypatch.chdir(project)

    with pytest.raises(SystemExit):
        plan_or_exit({}, ["seeds=1", "seeds=2"])

    assert "--config: found \"the key 'seeds' again\"" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["soon", "-1", "nan", "inf", ""])
def test_a_time_between_checkpoints_that_is_none_is_one_line(project, capsys, monkeypatch, seconds):
    """The line names the variable of the environment."""
    monkeypatch.setenv("KDBENCH_CHECKPOINT_SECONDS", seconds)

    line = refuse(project, ["run", "wrn-40-2"], capsys, monkeypatch)

    assert "KDBENCH_CHECKPOINT_SECONDS" in line and "a number of seconds" in line


TITLES = ("accuracy # 1 of 2", "2024-05-01", "KD: gain", "yes", "1e3", "007", "null", "@home", "*x",
          "`a`", "!tag", "a 'b' \"c\"", "%d", "ö", "{}", "- a", "1:30", ".inf")  # fmt: skip


@pytest.mark.parametrize("title", TITLES)
def test_a_text_is_the_same_by_params_yaml_override_and_config(tmp_path, monkeypatch, title):
    """The title is what was written, and the plan has the same runs."""
    from kdbench.plan.graph import load_graph

    tables = [{"id": "007", "title": title, "pairs": ["vgg13:vgg8"], "methods": ["kd"]}]
    keys = {"exhibits": ["own"], "tables": tables}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("")
    words = [f"{key}={json.dumps(value)}" for key, value in keys.items()]
    by_config = plan_or_exit({}, words).graph
    by_override = load_graph(tmp_path, keys)
    (tmp_path / "params.yaml").write_text(json.dumps(keys))
    by_file = load_graph(tmp_path)

    for graph in (by_config, by_override, by_file):
        assert [exhibit.title for exhibit in graph.exhibits] == [title]
        assert graph.runs.keys() == by_file.runs.keys()


@pytest.mark.parametrize("title", ["2024-05-01", "yes", "1e3", "007", "1:30", ".inf"])
def test_a_word_without_quotes_stays_text_where_text_stands(tmp_path, title):
    """YAML alone would make a date, a truth, or a number of it."""
    from kdbench.plan.params import load_params

    table = (
        f"{{id: {title.strip('.').replace(':', '-')}, title: {title}, pairs: [a:b], methods: [kd]}}"
    )
    (tmp_path / "params.yaml").write_text(f"tables: [{table}]")

    assert load_params(tmp_path / "params.yaml").tables[0].title == title
