"""params.yaml, typed: overrides of what the exhibits and declarations say, never copies."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from kdbench.errors import BadValue, UnknownName, UserError
from kdbench.plan.scales import SCALES, Ranks, Scale
from kdbench.plan.validation import SHA256, TABLE_ID, Label, Line, Strict, first_of, one_line
from kdbench.plan.yaml_values import read_yaml
from kdbench.store.disk import read_text

FILE = "params.yaml"
OPTIONS = "options of this call"  # --override, --config, --scale
# At the beginning of an error, the top-level key: "params.yaml, scales.lite.ranks or ranks: ..."
NAMED = re.compile(rf"{re.escape(FILE)}, (\w+)(?:[.\w]* or (\w+):)?")
# By default, the data sets of the papers' exhibits.
DATASETS = (
    "cifar10", "cifar100", "cinic10",
    "imagenet", "tinyimagenet-224", "cifar100-224",
    "cityscapes", "camvid", "nyuv2",
)  # fmt: skip
OWN = "own"  # the paper of custom tables
RENAMED = {"found_by": "pruned_by", "found_in": "pruned_from"}  # of tables in older files
SCALE = TypeAdapter(Scale)
SharedPhase = Literal["teacher", "search", "student"]  # what several processes can share


class Elsewhere(Strict):
    """Where schemes are searched; an empty key means the table's own.

    Attributes:
        dataset: another data set.
        pair: another `teacher:student`.
        protocol: another protocol.
    """

    dataset: str = ""
    pair: str = ""
    protocol: str = ""


class CustomTable(Strict):
    """A table of the user's own.

    Attributes:
        id: the table's name; the exhibit is called `own/<id>`.
        title: the heading of the table; by default the id.
        dataset: the data set.
        pairs: columns, `teacher:student`.
        methods: rows; names joined by "+" add their losses, and "teacher" is each pair's teacher.
        labels: printed names of rows and columns, by the entry of `methods` or `pairs`.
        comparisons: pairs of methods, the one expected to be better first; the report says whether
            the runs show it.
        sizes: whether the report shows every network's parameters and multiply-adds.
        protocol: the protocol of every training (docs/protocols.md); searches use the one that
            belongs to it. By default "review", or that of large images, street scenes or depths
            where the data set is one of those.
        seeds: student runs per cell at every scale; by default the scale's number, or one.
        pruned_by: the search whose pruned network is the student.
        pruned_from: the network that it prunes, or "teacher"; by default the pair's student.
        searched_on: where the methods' schemes are searched, if not on this table's pairs.
        grid: values to try of a method's parameters, or of its search's as `search.name`; one row
            per combination.
        tuning_holdout: `held_out` in params.yaml: to choose parameters, hold out this share of the
            training images and measure on it instead of the test images.
    """

    id: str = Field(pattern=TABLE_ID)
    title: Line = ""
    dataset: str = "cifar100"
    pairs: list[str] = Field(min_length=1)
    methods: list[str] = Field(min_length=1)
    labels: dict[str, Label] = {}
    comparisons: list[Annotated[list[str], Field(min_length=2, max_length=2)]] = []
    sizes: bool = False
    protocol: str = ""
    seeds: int | None = Field(default=None, ge=1, le=100)
    pruned_by: str = ""
    pruned_from: str = ""
    searched_on: Elsewhere | None = None
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    tuning_holdout: float = Field(default=0.0, ge=0, le=0.9, alias="held_out")

    @model_validator(mode="before")
    @classmethod
    def _with_todays_names(cls, table: Any) -> Any:
        """Keys of older files under their new names; a key beside its successor stays."""
        if not isinstance(table, dict):
            return table
        old = {key for key, new in RENAMED.items() if new not in table}
        return {RENAMED[key] if key in old else key: value for key, value in table.items()}


class Params(Strict):
    """Everything a user may set in params.yaml.

    Attributes:
        scale: which scale runs.
        datasets: data sets whose exhibits run; all others are left out.
        exhibits: exhibits by id, papers by name, or "all".
        pairs: `teacher:student` pairs to run; empty means all.
        methods_only: methods to run; empty means all.
        seeds: student runs per cell; null means the number of the scale and the exhibit.
        methods, searches: overrides of declared parameters, by name.
        scales: overrides of scale settings, by scale; docs/reference/params.md lists them.
        teachers: SHA-256 of imported checkpoints, by data set and network ("cifar100/wrn-40-2");
            they replace trained teachers at scales with real images.
        encoders: SHA-256 of imported weights from which a network's encoder starts, by network
            ("pspnet-resnet18"), at scales with real images.
        ranks: processes of one training or search, by phase, at scales with real images; for
            "imagenet/resnet50:mobilenet-v1" the pair's searches and students, for
            "imagenet/resnet50" that network's trainings without a teacher, as a teacher or as a
            student. All others have the scale's number.
        tables: your own tables.
        plugins: folders with your own declarations and code.
    """

    scale: Literal["smoke", "lite", "paper"] = "smoke"
    datasets: list[str] = Field(default=[*DATASETS], min_length=1)
    exhibits: list[str] = Field(default=["all"], min_length=1)
    pairs: list[str] = []
    methods_only: list[str] = []
    seeds: int | None = Field(default=None, ge=1, le=100)
    methods: dict[str, dict[str, Any]] = {}
    searches: dict[str, dict[str, Any]] = {}
    scales: dict[str, dict[str, Any]] = {}
    teachers: dict[str, Annotated[str, Field(pattern=SHA256)]] = {}
    encoders: dict[str, Annotated[str, Field(pattern=SHA256)]] = {}
    ranks: dict[str, dict[SharedPhase, Ranks]] = {}
    tables: list[CustomTable] = []
    plugins: list[str] = []

    def settings(self) -> Scale:
        """The scale in force, with its overrides.

        Raises:
            UnknownName, BadValue: a scale or setting that does not exist, or of a wrong kind.
        """
        for name in self.scales:
            if name not in SCALES:
                raise UnknownName("scale", name, list(SCALES), where=f"{FILE}, scales")
        known = {field.name for field in fields(Scale)} - {"name", "notice"}
        for name, overrides in self.scales.items():
            for key in overrides:
                if key not in known:
                    raise UnknownName("setting", key, known, where=f"{FILE}, scales.{name}")
        return {name: _scaled(name, self.scales.get(name, {})) for name in SCALES}[self.scale]


def load_params(path: Path, overrides: Mapping[str, Any] | None = None) -> Params:
    """Read and check params.yaml; `overrides` replace top-level keys (as `--config` does).

    Raises:
        UserError: the file is missing, too large, is not YAML, or has a key twice, an unknown key
            or a wrong value; one line that names the key.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file; run kdbench in a project folder (with params.yaml)")
    content = read_yaml(read_text(path), str(path), Params)
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise BadValue(str(path), type(content).__name__, "a mapping of keys to values")
    overrides = overrides or {}
    content.update(overrides)
    try:
        params = Params.model_validate(content)
    except ValidationError as error:
        key = (*first_of(error)["loc"], "")[0]
        raise one_line(Params, OPTIONS if key in overrides else FILE, error) from None
    with blamed_on_call(overrides):
        params.settings()
    return params


@contextmanager
def blamed_on_call(overrides: Mapping[str, Any]) -> Iterator[None]:
    """Lay errors about keys that a call replaces on the call's options, and not on the file."""
    try:
        yield
    except UserError as error:
        if named := NAMED.match(str(error)):
            given = {key in overrides for key in named.groups() if key}
            blamed = f"{FILE} or {OPTIONS}" if len(given) > 1 else OPTIONS
            if True in given:
                error.args = (blamed + str(error).removeprefix(FILE),)
        raise


def kind_of(key: str) -> Any:
    """The type of a top-level key of params.yaml."""
    field = Params.model_fields.get(key)
    return field.annotation if field else Any


def changed_keys(params: Params, file: Path) -> dict[str, Any]:
    """Top-level keys that are not as in params.yaml, with their values; all defaults without it."""
    written = (load_params(file) if file.is_file() else Params()).model_dump(by_alias=True)
    today = params.model_dump(by_alias=True)
    return {key: value for key, value in today.items() if value != written[key]}


def _scaled(name: str, overrides: Mapping[str, Any]) -> Scale:
    try:
        return SCALE.validate_python({**asdict(SCALES[name]), **overrides})
    except ValidationError as error:
        raise one_line(Params, f"{FILE}, scales.{name}", error) from None
