"""The command line: help that can be pasted, errors of one line, runs without Snakemake."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from forked import Done
from typer.testing import CliRunner

from kdbench import __main__, console
from kdbench.cli import app

TINY = {
    "teacher_epochs": 1,
    "student_epochs": 1,
    "steps_per_epoch": 2,
    "batch": 16,
}
PARAMS = {
    "exhibits": ["distpro/table1"],
    "pairs": ["resnet56:resnet20"],
    "methods_only": ["halves"],
    "seeds": 1,
    "scales": {"smoke": TINY},
    "plugins": ["own"],
}
CODE = '''
from torch import nn


class Halves(nn.Module):
    """Half of the squared distance of the logits."""

    def __init__(self, student, teacher, *, weight=0.5):
        super().__init__()
        self.weight = weight

    def forward(self, student, teacher, batch, position):
        """One term."""
        return {"halves": self.weight * (student.logits - teacher.logits).square().mean()}
'''
DECLARATION = """
kind = "method"
class = "Halves"
label = "Halves"
revision = 1
[defaults]
weight = 0.5
task_weight = 1.0
"""


def written(folder):
    """The folder with a small params.yaml and a method of one's own."""
    (folder / "own").mkdir()
    (folder / "own/halves.py").write_text(CODE)
    (folder / "own/halves.toml").write_text(DECLARATION)
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    return folder


@pytest.fixture
def project(tmp_path):
    """See `written`."""
    return written(tmp_path)


@pytest.fixture(scope="module")
def taught_once(tmp_path_factory):
    """Such a folder whose teacher is trained; never changed."""
    folder = written(tmp_path_factory.mktemp("taught"))
    result = kdbench(folder, "run", "teacher/resnet56")
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def taught(taught_once, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(taught_once, tmp_path, dirs_exist_ok=True))


def kdbench(folder, *words):
    """Run the command in a process of its own, to its end."""
    return Done(folder, *words, KDBENCH_DEVICE="cpu")


def commands(group=None, prefix=()):
    """(words, command) of every command, those of groups too."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*prefix, name))
        else:
            yield (*prefix, name), command


COMMANDS = [pytest.param(*pair, id=" ".join(pair[0])) for pair in commands()]


@pytest.mark.parametrize(("words", "command"), COMMANDS)
def test_every_command_has_help_with_an_example(words, command):
    """Help says what the command does and what each option means, and ends with an example.

    No word is taken for markup, as one in square brackets would be.
    """
    shown = CliRunner().invoke(app, [*words, "--help"]).output
    first, *_, last = command.help.strip().splitlines()

    assert first.endswith(".")
    assert last.startswith(f"Example: kdbench {' '.join(words)}")
    assert "Example: kdbench" in shown
    assert all(p.help for p in command.params)
    assert {word for p in command.params for word in p.help.split()} <= set(shown.split())


@pytest.mark.parametrize(("words", "command"), COMMANDS)
def test_every_example_can_be_parsed(words, command):
    """Its options exist and its arguments are complete."""
    example = shlex.split(command.help.strip().splitlines()[-1].removeprefix("Example: kdbench "))

    assert command.make_context("kdbench", example[len(words) :]).command is command


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["status"]])
def test_help_and_status_do_not_load_torch(project, words):
    """They answer at once."""
    program = (
        "import sys\nfrom kdbench.cli import main\nsys.argv[1:] = sys.argv[2:]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('loaded:', *(m for m in ('torch', 'snakemake', 'dvc') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "-", *words], cwd=project, capture_output=True, text=True
    )

    assert done.stdout.splitlines()[-1] == "loaded:", done.stdout + done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "resnet56_resnet20_halvs_s0"], "did you mean 'resnet56_resnet20_halves_s0'?"),
        (["restore", "resnet57"], "did you mean 'resnet56'?"),
        (["status", "--scale", "smok"], "did you mean 'smoke'?"),
        (["status", "--override", "{"], "--override: found '{', expected a JSON object"),
        (["status", "--override", "[1]"], "--override: found '[1]', expected a JSON object"),
        (["status", "--override", '{"sedes": 1}'], "did you mean 'seeds'?"),
        (["build", "techer", "cifar100"], "did you mean 'teacher'?"),
        (["build", "teacher", "cifar1000"], "did you mean 'cifar100'?"),
        (["build", "teacher", "cifar100"], "Snakefile: no such file"),
        (["data", "prepare", "cifar1000"], "did you mean 'cifar100'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_exit_code_2(project, words, said):
    """The line is on standard error, without a traceback; nothing is written."""
    done = kdbench(project, *words)

    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("kdbench: ")
    assert said in done.stderr
    assert not (project / "results").exists()


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_output_of_another_encoding_loses_letters_but_not_lines(tmp_path, encoding):
    """Many a log and terminal knows no arrow; errors are lines there too."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    kdbench = [sys.executable, "-m", "kdbench"]
    (tmp_path / "params.yaml").write_text("scale: smoke\n")
    for words, code in ((["zoo", "resnet20"], 0), (["status", "r\u00e9\u2192s"], 2)):
        done = subprocess.run(
            [*kdbench, *words], cwd=tmp_path, env=environment, capture_output=True
        )
        text = (done.stdout + done.stderr).decode(encoding)
        assert done.returncode == code and "Traceback" not in text, text
    assert "r?" in text or "\u00e9?" in text


def test_a_folder_without_params_yaml_is_refused(tmp_path):
    """The message names the file that is missing."""
    words = [sys.executable, "-m", "kdbench", "status"]  # as whoever has no script on the path
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 2
    assert "no such file; run kdbench in a project folder" in done.stderr


def test_status_of_a_new_project_lists_what_is_missing(project):
    """Per exhibit and per phase; with --runs run by run."""
    lines = kdbench(project, "status").stdout.splitlines()
    runs = kdbench(project, "status", "--runs").stdout.splitlines()

    assert lines[0] == "scale smoke"
    assert lines[1].split()[:5] == ["distpro/table1", "0", "of", "5", "runs"]
    assert [line.split() for line in lines[2:6]] == [
        ["data", "1", "to", "do"],
        ["teacher", "1", "to", "do"],
        ["student", "1", "to", "do"],
        ["evaluation", "2", "to", "do"],
    ]
    (adds,) = lines[6:]  # what the plug-in costs
    assert adds.split()[:5] == ["methods,", "halves:", "adds", "2", "runs"]
    assert len(runs) == 5
    assert runs[2].split()[1:] == ["student", "to", "do", "cifar100", "resnet56_resnet20_halves_s0"]


def test_a_run_without_snakemake_does_first_what_it_needs(project):
    """Data, teacher, then the student of a plug-in's method; a second call does nothing."""
    first = kdbench(project, "run", "resnet56_resnet20_halves_s0")
    again = kdbench(project, "run", "resnet56_resnet20_halves_s0")
    status = kdbench(project, "status")

    assert first.returncode == 0, first.stderr
    assert [line for line in first.stdout.splitlines() if line.endswith(": done")] == [
        "data cifar100 cifar100: done",
        "teacher cifar100 resnet56: done",
        "student cifar100 resnet56_resnet20_halves_s0: done",
    ]
    assert "\x1b" not in first.stdout  # plain lines where nobody looks at a terminal
    assert again.returncode == 0
    assert "already done" in again.stdout
    assert "3 of    5 runs" in status.stdout
    (record,) = (project / "results/smoke/records/student/cifar100").glob("*.json")
    assert '"halves"' in record.read_text()


@pytest.mark.slow
def test_all_runs_are_done_in_one_process_one_after_the_other(project):
    """Each run comes after those it needs; a second call has nothing to do."""
    first = kdbench(project, "run", "--all")
    again = kdbench(project, "run", "--all")

    assert first.returncode == 0, first.stderr
    done = [line.split()[0] for line in first.stdout.splitlines() if line.endswith(": done")]
    assert sorted(done) == sorted(["data", "teacher", "evaluation", "student", "evaluation"])
    assert done.index("teacher") > done.index("data")
    assert again.returncode == 0 and again.stdout == ""
    assert "5 of    5 runs" in kdbench(project, "status").stdout


def test_all_runs_go_on_but_for_those_that_need_one_that_failed(taught):
    """Each failure is one line, and the call ends with an exit code."""
    override = json.dumps({"methods": {"halves": {"weight": 1e38}}})
    result = kdbench(taught, "run", "--all", "--override", override)

    assert result.returncode == 2
    assert result.stderr.strip() == "kdbench: 2 of 5 runs failed; see the lines above"
    failed = [line for line in result.stdout.splitlines() if ": failed: " in line]
    assert len(failed) == 2 and "expected finite numbers" in failed[0]
    assert "it needs student cifar100 resnet56_resnet20_halves" in failed[1]
    assert "evaluation cifar100 resnet56: done" in result.stdout


def test_several_runs_may_be_named_and_one_that_fails_costs_the_others_nothing(taught):
    """The order does not matter; a wrong name is refused before anything runs."""
    names = ["evaluation/resnet56_resnet20_halves", "evaluation/resnet56"]
    wrong = kdbench(taught, "run", *names, "resnet57")
    override = json.dumps({"methods": {"halves": {"weight": 1e38}}})
    result = kdbench(taught, "run", *names, "--override", override)

    assert wrong.returncode == 2 and "resnet57" in wrong.stderr and not wrong.stdout
    assert result.returncode == 2
    assert result.stderr.strip() == "kdbench: 1 of 2 runs failed; see the lines above"
    assert "evaluation cifar100 resnet56: done" in result.stdout


def test_a_programming_error_in_one_method_does_not_stop_the_others(taught):
    """Its traceback is shown, and the call fails."""
    (taught / "own/halves.py").write_text(CODE.replace("teacher.logits)", "teacher.nothing)"))
    result = kdbench(taught, "run", "evaluation/resnet56_resnet20_halves", "evaluation/resnet56")

    assert result.returncode == 2
    assert "Traceback" in result.stderr and "AttributeError" in result.stderr
    assert "evaluation cifar100 resnet56_resnet20_halves: failed: AttributeError" in result.stdout
    assert "evaluation cifar100 resnet56: done" in result.stdout


@pytest.mark.parametrize("words", [[], ["resnet56", "--all"]])
def test_run_needs_either_names_or_all(project, words):
    """Neither and both are refused."""
    result = kdbench(project, "run", *words)

    assert result.returncode == 2 and len(result.stderr.strip().splitlines()) == 1
    assert "expected the name of a run, or --all" in result.stderr


def test_progress_is_plain_lines_without_a_terminal(capsys, monkeypatch):
    """Each line gives the time left; a continued training says where it stands."""
    monkeypatch.setattr(console, "LINE_EVERY", 0.0)
    tick = console.start_bar("student x", 4, 2)
    tick()
    tick()

    assert capsys.readouterr().out.splitlines() == [
        "student x: continues at step 2 of 4",
        "student x: step 3 of 4, 0.0 min left",
        "student x: step 4 of 4, 0.0 min left",
    ]


def test_progress_without_a_terminal_does_not_print_every_step(capsys):
    """A hundred steps that take no time print nothing."""
    tick = console.start_bar("student x", 100, 0)
    for _ in range(100):
        tick()

    assert capsys.readouterr().out == ""


def test_progress_on_a_terminal_is_a_bar_that_ends(monkeypatch):
    """The cursor is visible again afterwards."""
    import io

    import rich

    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(rich, "_console", None)
    monkeypatch.setenv("TERM", "xterm")
    tick = console.start_bar("student x", 2, 0)
    tick()
    tick()

    assert "student x" in screen.getvalue()
    assert "2/2" in screen.getvalue()
    assert screen.getvalue().rstrip().endswith("\x1b[?25h")


@pytest.mark.parametrize("place", ["kdbench.cli.main", "kdbench.plan.graph.load_graph"])
def test_ctrl_c_ends_a_command_without_a_traceback(project, monkeypatch, capsys, place):
    """Also while it is still importing, with the exit code that shells give."""

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "argv", ["kdbench", "status"])
    monkeypatch.setattr(place, interrupt)
    with pytest.raises(SystemExit) as end:
        __main__.main()

    assert end.value.code == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("words", [["tune"], ["status", "--scal", "lite"], ["foo"]])
def test_a_wrong_word_is_answered_alike_however_the_command_was_called(project, words):
    """`python -m kdbench` names the command as `kdbench` does, with the page that helps."""
    by_module = subprocess.run(
        [sys.executable, "-m", "kdbench", *words], cwd=project, capture_output=True, text=True
    )

    assert by_module.returncode == 2
    assert by_module.stderr == kdbench(project, *words).stderr
    assert by_module.stderr.endswith(
        "see kdbench --help\n" if words == ["foo"] else f"see kdbench {words[0]} --help\n"
    )
    assert "-m" not in by_module.stderr
