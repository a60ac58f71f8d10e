"""What docs/security.md promises, held over the whole package."""

import ast
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import kdbench
from kdbench.errors import UserError
from kdbench.workflow.snakemake import Workflow

PACKAGE = Path(kdbench.__file__).parent
REPOSITORY = Path(__file__).parents[1]
SHELL_WORDS = "a'b; touch gone $(touch gone) `touch gone` {log} {{x}} \\ | > < & *"


def calls():
    """Every call in the package: file and line, the dotted name, the keyword arguments."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
                yield f"{file.relative_to(PACKAGE)}:{node.lineno}", ast.unparse(node.func), keywords


CALLS = list(calls())


def places(*names):
    """Where functions of these names are called."""
    return [where for where, name, _ in CALLS if name in names]


def test_nothing_is_unpickled_but_tensors_and_plain_values():
    """Checkpoints by PyTorch's restricted unpickler, arrays without pickles, nothing by pickle."""
    loads = [(where, keywords) for where, name, keywords in CALLS if name == "torch.load"]
    arrays = [(where, keywords) for where, name, keywords in CALLS if name == "np.load"]

    assert loads and arrays
    assert [where for where, keywords in loads if keywords.get("weights_only") != "True"] == []
    assert [where for where, keywords in arrays if keywords.get("allow_pickle") != "False"] == []
    forbidden = ("pickle.load", "pickle.loads", "marshal.loads", "shelve.open", "joblib.load")
    assert places(*forbidden, "pd.read_pickle", "torch.jit.load", "torch.hub.load") == []


def test_the_one_unpickler_of_our_own_calls_nothing():
    """It reads the official CIFAR archives, and refuses every name that it does not know."""
    users = {f.name for f in PACKAGE.rglob("*.py") if "pickle.Unpickler" in f.read_text()}

    assert users == {"pickles.py"}


def test_no_archive_is_unpacked():
    """Members are read in memory, within limits of size (data/ingest/archive.py)."""
    methods = [name.rpartition(".")[2] for _, name, _ in CALLS]

    assert "extractall" not in methods and "extract" not in methods
    assert places("shutil.unpack_archive") == []


def test_no_command_is_given_to_a_shell():
    """Programs are started with lists of words."""
    shells = [w for w, _, keywords in CALLS if keywords.get("shell", "False") != "False"]

    assert places("subprocess.run", "subprocess.call") != []
    assert shells == []
    assert places("os.system", "os.popen", "subprocess.getoutput") == []


def test_yaml_is_read_without_objects(tmp_path):
    """A tag that would call a function is one line, and nothing is called."""
    text = f"datasets: !!python/object/apply:os.mkdir [{tmp_path}/ran]\n"
    (tmp_path / "params.yaml").write_text(text)

    with pytest.raises(UserError, match=r"params\.yaml"):
        Workflow({}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
    assert places("yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "yaml.UnsafeLoader") == []


class Quoted(str):
    """A name that takes Snakemake's `:q`."""

    __slots__ = ()

    def __format__(self, spec):
        """As Snakemake quotes it."""
        return shlex.quote(self) if spec == "q" else str(self)


def test_values_of_params_reach_a_job_as_one_word(tmp_path):
    """What a shell makes of a job's options is, to the character, what the plan was given."""
    (tmp_path / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    table = {"id": "t", "title": SHELL_WORDS, "pairs": ["resnet56:resnet20"], "methods": ["kd"]}
    plan = Workflow({"tables": [table], "exhibits": ["own"], "scale": "smoke"}, tmp_path)
    words = shlex.split(plan.options)
    command = plan.command("kdbench run {wildcards.digest}")
    given = command.format(wildcards=SimpleNamespace(digest="d"), log=Quoted("job.log"))

    assert given == f"kdbench run d {plan.options} > job.log 2>&1"
    assert words[:2] == ["--scale", "smoke"]
    assert len(words) == 4
    assert yaml.safe_load(words[3])["tables"] == [table]


@pytest.mark.parametrize("file", sorted((REPOSITORY / "rules").glob("*.smk")), ids=lambda f: f.stem)
def test_names_of_files_are_quoted_in_rules(file):
    """Digests and torchrun's words apart, which are quoted where they are made, as options are."""
    shell = re.search(r'shell:\s+plan\.command\("(.*)"\)', file.read_text())[1]

    assert set(re.findall(r"{(.*?)}", shell)) <= {
        "wildcards.digest",
        "params.cells",
        "params.launcher",
    }


@pytest.mark.parametrize("name", ["cifar100; touch gone", "$(touch gone)", "../data", "-rf", "a b"])
def test_a_component_has_no_name_that_a_shell_or_a_path_could_misread(tmp_path, name):
    """It is refused when the plan is made."""
    (tmp_path / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    with pytest.raises(UserError):
        Workflow({"datasets": [name]}, tmp_path)
