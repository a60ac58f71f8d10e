"""The JSON Schemas that `kdbench schema` writes tell right files from wrong ones."""

import json
import tomllib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from jsonschema import Draft202012Validator

from kdbench.errors import UserError
from kdbench.plan import schemas
from kdbench.plan.components import find_components
from kdbench.plan.params import FILE

REPOSITORY = Path(__file__).parents[2]
FILES = [
    (kind, path)
    for kind, known in find_components().declarations.items()
    for path, _ in known.values()
]


@cache
def written():
    """What is written, by path."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return {path.name: path.read_text() for path in schemas.write_schemas()}


def errors(name, content):
    """What the schema of that name finds wrong."""
    schema = json.loads(written()[f"{name}.schema.json"])
    Draft202012Validator.check_schema(schema)
    return [error.message for error in Draft202012Validator(schema).iter_errors(content)]


def test_an_absent_or_changed_schema_is_refused(tmp_path, monkeypatch):
    """The error names the file and the command."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"params\.schema\.json: no such file; run kdbench schema"):
        schemas.check_schemas()
    written = schemas.write_schemas()
    assert schemas.check_schemas() == written
    written[-1].write_text("{}")
    with pytest.raises(UserError, match=r"search\.schema\.json: not what the code says; run"):
        schemas.check_schemas()


def test_a_file_in_the_place_of_the_folder_is_said_in_one_line(tmp_path, monkeypatch):
    """It stays as it is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "schemas").write_text("mine")
    with pytest.raises(UserError, match=r"^schemas: cannot be read or written: .+$"):
        schemas.write_schemas()
    assert (tmp_path / "schemas").read_text() == "mine"


@pytest.mark.parametrize(("kind", "path"), FILES, ids=[f"{k}-{p.stem}" for k, p in FILES])
def test_every_declaration_fits_its_schema_and_names_it(kind, path):
    """The first line of the file is a directive whose path leads to the schema."""
    text = path.read_text(encoding="utf-8")
    directive, _, target = text.partition("\n")[0].partition(" ")

    assert directive == "#:schema"
    assert (path.parent / target).resolve() == REPOSITORY / f"schemas/{kind}.schema.json"
    assert errors(kind, tomllib.loads(text)) == []


def test_the_shipped_params_yaml_fits_its_schema_and_names_it():
    """The first line of the file is the directive that editors follow."""
    text = (REPOSITORY / FILE).read_text(encoding="utf-8")

    assert text.startswith("# yaml-language-server: $schema=schemas/params.schema.json\n")
    assert errors("params", yaml.safe_load(text)) == []


TABLE = {"id": "mine", "pairs": ["resnet56:resnet20"], "methods": ["kd", "dfa+kd"]}


@pytest.mark.parametrize(
    "content",
    [
        {"exhibits": ["own", "own/mine", "distpro", "sbs/table1"]},
        {"methods": {"kd": {"temperature": 8, "teacher_bn": "batch"}, "halves": {"weight": 1}}},
        {"scales": {"smoke": {"batch": None, "threads": 2}}},
        {"tables": [{**TABLE, "pruned_by": "sbs_kl", "held_out": 0.1, "grid": {"weight": [1]}}]},
        {"tables": [{**TABLE, "found_by": "sbs_kl", "found_in": "teacher"}]},
        {"teachers": {"cifar100/wrn-40-2": "0" * 64}, "seeds": 3, "plugins": ["methods"]},
    ],
    ids=str,
)
def test_what_params_yaml_may_say_fits_the_schema(content):
    """Methods of plug-ins and the keys of older files fit it as well."""
    assert errors("params", content) == []


@pytest.mark.parametrize(
    "content",
    [
        {"sclae": "smoke"},
        {"scale": "papre"},
        {"seeds": 0},
        {"datasets": []},
        {"exhibits": ["distpro/tabel1"]},
        {"methods": {"kd": {"temprature": 8.0}}},
        {"methods": {"kd": {"temperature": "hot"}}},
        {"methods": {"kd": {"teacher_bn": "train"}}},
        {"searches": {"distpro": {"gradient": "exakt"}}},
        {"searches": {"distpro": {"held_out": 1.5}}},
        {"scales": {"papers": {}}},
        {"scales": {"smoke": {"student_epoch": 3}}},
        {"scales": {"smoke": {"batch": 0}}},
        {"teachers": {"cifar100/vgg8": "abc"}},
        {"tables": [{**TABLE, "protocol": "crb"}]},
        {"tables": [{**TABLE, "pair": []}]},
        {"tables": [{"id": "mine"}]},
    ],
    ids=str,
)
def test_a_mistake_in_params_yaml_does_not_fit_the_schema(content):
    """Each of these mistakes has at least one complaint."""
    assert errors("params", content)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("distill/kd", {"teacher_bm": "eval"}),
        ("distill/kd", {"teacher_bn": "evla"}),
        ("distill/kd", {"class": ""}),
        ("distill/kd", {"revision": "1"}),
        ("distill/kd", {"ranges": {"weight": [0.0]}}),
        ("search/dfa", {"start": "student"}),
        ("models/families/resnet", {"examples": []}),
        ("models/families/resnet", {"image": [3, 32]}),
        ("data/sets/cifar10", {"archive": {"ulr": "x"}}),
        ("data/sets/cifar10", {"fingerprint": "abc"}),
    ],
)
def test_a_mistake_in_a_declaration_does_not_fit_the_schema(name, change):
    """The file as it stands fits it."""
    path = REPOSITORY / f"kdbench/{name}.toml"
    (kind,) = (kind for kind, known in FILES if known == path)
    content = tomllib.loads(path.read_text(encoding="utf-8"))

    assert errors(kind, content) == []
    assert errors(kind, {**content, **change})
