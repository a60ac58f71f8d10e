"""The declarations beside the components: every default is known without importing torch."""

import importlib.metadata
import importlib.util
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Generic, Literal, overload

from pydantic import ValidationError
from typing_extensions import TypeVar

from kdbench.errors import BadValue, UnknownName
from kdbench.plan.constraints import check_constraints, check_own_values, checked
from kdbench.plan.declarations import (
    KINDS,
    DatasetDeclaration,
    Declaration,
    Distiller,
    MethodDeclaration,
    NetworkDeclaration,
    PluginDatasetDeclaration,
    SearchDeclaration,
)
from kdbench.plan.validation import COMPONENT_NAME, LONGEST_NAME, one_line
from kdbench.store.disk import read_text
from kdbench.store.fingerprint import code_fingerprint
from kdbench.store.plugin_sources import sources_of

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "method": "distill",
    "network": "models.families",
    "dataset": "data.sets",
    "search": "search",
}
PLUGIN_GROUP = "kdbench.components"
TEACHER_MODES = ("eval", "batch")
D = TypeVar("D", bound=Declaration)
D_co = TypeVar("D_co", bound=Declaration, covariant=True, default=Declaration)


@dataclass(frozen=True)
class Component(Generic[D_co]):
    """One method, network, data set or search, as its declaration describes it.

    Attributes:
        kind: "method", "network", "dataset" or "search".
        name: as params.yaml and the exhibits write it.
        module: where its code lives: a dotted name, or the path of a plug-in's .py file.
        class_name: the class in that module.
        arguments: constructor arguments that follow from the name (networks).
        declaration: the whole TOML, typed.
        plugin: whether it comes from outside the package; its code then counts in digests.
    """

    kind: str
    name: str
    module: str
    class_name: str
    arguments: Mapping[str, Any]
    declaration: D_co
    plugin: bool = False

    @property
    def label(self) -> str:
        """Printed name."""
        spelled = getattr(self.declaration, "spelled", {})
        words = {name: spelled.get(str(value), value) for name, value in self.arguments.items()}
        return self.declaration.label.format(**words)

    @property
    def family(self) -> str:
        """The declaration's own name: for networks, the family."""
        return Path(self.module).stem if self.plugin else self.module.rpartition(".")[2]

    @cached_property
    def revision(self) -> int | str:
        """What stands for the component's arithmetic in digests."""
        revision = self.declaration.revision
        if not self.plugin:
            return revision
        return f"{revision}+{code_fingerprint(sources_of(Path(self.module)))}"

    @property
    def described(self) -> dict[str, Any]:
        """The declaration with its name and where its code lies: what `kdbench.data` reads."""
        return {**self.declaration.as_written, "name": self.name, "module": self.module}

    @property
    def teacher_bn(self) -> str:
        """Teacher's batch norm while distilling: "eval" or "batch" statistics."""
        return self.declaration.teacher_bn if isinstance(self.declaration, Distiller) else "eval"

    @property
    def takes_teacher_bn(self) -> bool:
        """Whether params.yaml may set `teacher_bn`, which no class takes and no default lists."""
        return self.kind == "search" or (self.kind == "method" and self.needs_teacher)

    @property
    def search(self) -> str | None:
        """The search whose scheme a method needs, if any."""
        return self.declaration.search if isinstance(self.declaration, MethodDeclaration) else None

    @property
    def needs_teacher(self) -> bool:
        """Whether a method reads a teacher at all."""
        declaration = self.declaration
        return not isinstance(declaration, MethodDeclaration) or declaration.needs_teacher

    @property
    def start(self) -> str | None:
        """Where a search's student begins: "teacher", or None for weights of its own."""
        return self.declaration.start if isinstance(self.declaration, SearchDeclaration) else None

    @property
    def base(self) -> str | None:
        """The search whose finding a search starts from, if any."""
        return self.declaration.base if isinstance(self.declaration, SearchDeclaration) else None

    @property
    def constant_rate(self) -> bool:
        """Whether a search's student learns at one rate, whatever the protocol's milestones."""
        return (
            isinstance(self.declaration, SearchDeclaration) and self.declaration.rate == "constant"
        )

    def parameters(
        self, *, scale: str, pair: str | None, overrides: Mapping[str, Any], where: str
    ) -> dict[str, Any]:
        """Defaults, then those of the pair, of a short scale, and of params.yaml.

        Raises:
            UnknownName: an override that the declaration does not know.
            BadValue: an override of another type than the default's, or out of its range.
        """
        declared = self.declaration
        if not isinstance(declared, Distiller):
            raise TypeError(f"a {self.kind} has no parameters")
        overridable = self.overridable
        short = {"smoke": declared.smoke, "lite": declared.lite}.get(scale, {})
        values = {**declared.defaults, **declared.pairs.get(pair or "", {}), **short}
        for key, value in overrides.items():
            if key not in overridable:
                raise UnknownName("parameter", key, list(overridable), where=f"{where}.{self.name}")
            values[key] = self.checked(key, value, f"{where}.{self.name}.{key}")
        return values

    @property
    def overridable(self) -> dict[str, Any]:
        """What params.yaml may set of a method or search, with the declared values."""
        defaults = self.declaration.defaults if isinstance(self.declaration, Distiller) else {}
        return {**({"teacher_bn": "eval"} if self.takes_teacher_bn else {}), **defaults}

    def checked(self, key: str, value: Any, where: str) -> Any:
        """A value of one of `overridable`, of the declared kind.

        Raises:
            UnknownName, BadValue: another kind, or ruled out; `where` is the place.
        """
        if key == "teacher_bn" and value not in TEACHER_MODES:
            raise BadValue(where, value, "'eval' or 'batch'")
        value = checked(where, value, self.overridable[key])
        if isinstance(self.declaration, Distiller):
            check_constraints(where, key, value, self.declaration)
        return value


@dataclass(frozen=True)
class Components:
    """Every declaration that can be found, by file name; of networks, by family.

    Attributes:
        methods, networks, datasets, searches: each file and what it declares.
        plugins: folders from outside the package.
    """

    methods: dict[str, tuple[Path, MethodDeclaration]] = field(default_factory=dict)
    networks: dict[str, tuple[Path, NetworkDeclaration]] = field(default_factory=dict)
    datasets: dict[str, tuple[Path, DatasetDeclaration]] = field(default_factory=dict)
    searches: dict[str, tuple[Path, SearchDeclaration]] = field(default_factory=dict)
    plugins: set[Path] = field(default_factory=set)
    _named: dict[str, Component[NetworkDeclaration]] = field(default_factory=dict, repr=False)

    @property
    def declarations(self) -> Mapping[str, Mapping[str, tuple[Path, Declaration]]]:
        """The declarations by kind."""
        return {
            "method": self.methods,
            "network": self.networks,
            "dataset": self.datasets,
            "search": self.searches,
        }

    @overload
    def get(
        self, kind: Literal["method"], name: str, *, where: str
    ) -> Component[MethodDeclaration]: ...
    @overload
    def get(
        self, kind: Literal["network"], name: str, *, where: str
    ) -> Component[NetworkDeclaration]: ...
    @overload
    def get(
        self, kind: Literal["dataset"], name: str, *, where: str
    ) -> Component[DatasetDeclaration]: ...
    @overload
    def get(
        self, kind: Literal["search"], name: str, *, where: str
    ) -> Component[SearchDeclaration]: ...
    @overload
    def get(self, kind: str, name: str, *, where: str) -> Component: ...

    def get(self, kind: str, name: str, *, where: str) -> Component:
        """The component of that name.

        Raises:
            UnknownName: with the nearest name that exists.
        """
        if kind == "network":
            if name not in self._named:
                self._named[name] = self._network(name, where)
            return self._named[name]
        if name not in self.declarations[kind]:
            raise UnknownName(kind, name, self.names(kind), where=where)
        path, declaration = self.declarations[kind][name]
        class_name = declaration.class_name if isinstance(declaration, Distiller) else ""
        return self._component(kind, name, path, class_name, {}, declaration)

    def names(self, kind: str) -> list[str]:
        """Names of one kind; networks give the examples of their families."""
        if kind == "network":
            return [name for _, family in self.networks.values() for name in family.examples]
        return sorted(self.declarations[kind])

    def plugin_methods(self) -> list[str]:
        """Names of the methods that come from outside the package."""
        methods = self.methods.items()
        return sorted(name for name, (path, _) in methods if path.parent in self.plugins)

    def _network(self, name: str, where: str) -> Component[NetworkDeclaration]:
        for path, family in self.networks.values():
            match = re.fullmatch(family.pattern, name) if COMPONENT_NAME.fullmatch(name) else None
            if match:
                groups = {k: _number(v) for k, v in match.groupdict().items() if v is not None}
                arguments = {**family.arguments, **groups}
                return self._component("network", name, path, family.class_name, arguments, family)
        raise UnknownName("network", name, self.names("network"), where=where)

    def _component(
        self,
        kind: str,
        name: str,
        path: Path,
        class_name: str,
        arguments: Mapping[str, Any],
        declaration: D,
    ) -> Component[D]:
        stem = declaration.module or path.stem
        plugin = path.parent in self.plugins
        module = str(path.with_name(f"{stem}.py")) if plugin else f"kdbench.{PACKAGES[kind]}.{stem}"
        return Component(kind, name, module, class_name, arguments, declaration, plugin)

    def add(self, path: Path, declaration: Declaration) -> None:
        """Take a declaration in, under the name of its file."""
        match declaration:
            case MethodDeclaration():
                self.methods[path.stem] = path, declaration
            case NetworkDeclaration():
                self.networks[path.stem] = path, declaration
                self._named.clear()
            case DatasetDeclaration():
                self.datasets[path.stem] = path, declaration
            case SearchDeclaration():
                self.searches[path.stem] = path, declaration


def _number(text: str) -> int | float | str:
    """What a part of a network's name stands for: 40 and 0.5 are numbers, "x4" is text."""
    if re.fullmatch(r"[0-9]{1,18}", text):
        return int(text)
    return float(text) if re.fullmatch(r"\d+\.\d+", text) else text


def find_components(plugins: Iterable[str] = ()) -> Components:
    """Read every declaration of the package, of installed plug-ins and of the given folders.

    A plug-in folder holds pairs of files `<name>.py` and `<name>.toml`, the latter with a key
    `kind`. Installed packages offer such a folder through the entry point group
    `kdbench.components`, whose value names a package.

    Raises:
        BadValue, UnknownName: a folder that does not exist, a declaration with a wrong key or
            value or without its code, or a name that another component of the same kind has.
    """
    return _find_components(tuple(plugins))


@cache
def _find_components(plugins: tuple[str, ...]) -> Components:
    components = Components()
    for package_kind, package in PACKAGES.items():
        for path in sorted((ROOT / package.replace(".", "/")).glob("*.toml")):
            components.add(path, _validated(path, _toml(path), KINDS[package_kind]))
    for folder in dict.fromkeys([*_installed(), *(Path(folder) for folder in plugins)]):
        components.plugins.add(folder)
        for path in _declarations_in(folder):
            content = _toml(path)
            if content.get("kind") not in [*KINDS]:  # a list, for what cannot be hashed
                expected = f"one of {', '.join(KINDS)}"
                raise BadValue(f"{path}, kind", content.get("kind"), expected)
            kind: str = content["kind"]
            model = PluginDatasetDeclaration if kind == "dataset" else KINDS[kind]
            declaration = _validated(path, content, model)
            _check_plugin(path, kind, declaration, components)
            components.add(path, declaration)
    return components


def _declarations_in(folder: Path) -> list[Path]:
    """The declarations of a plug-in's folder."""
    try:
        if folder.is_dir():
            return sorted(folder.glob("*.toml"))
    except OSError:  # a name that no file system takes
        pass
    advice = "paths begin at the folder of params.yaml"
    raise BadValue("params.yaml, plugins", str(folder), "a folder with declarations", advice)


def _installed() -> list[Path]:
    points = importlib.metadata.entry_points(group=PLUGIN_GROUP)
    specs = [importlib.util.find_spec(point.value) for point in points]
    return [Path(spec.origin).parent for spec in specs if spec and spec.origin]


def _check_plugin(path: Path, kind: str, declaration: Declaration, others: Components) -> None:
    """Refuse a plug-in without code, or with a name that is taken."""
    name, known = path.stem, others.declarations[kind]
    if not COMPONENT_NAME.fullmatch(name):
        expected = f"at most {LONGEST_NAME} letters, digits, '-', '_' and '.'"
        raise BadValue(f"{path}, name", name, expected, "rename the plug-in's two files")
    if name in known:
        taken = f"a name that no other {kind} has ({known[name][0]} declares one)"
        raise BadValue(str(path), name, taken, "rename the plug-in's two files")
    code = path.with_name(f"{declaration.module or name}.py")
    if not code.is_file():
        raise BadValue(str(path), f"no file {code}", "the code beside its declaration")
    sources_of(code)


def _toml(path: Path) -> dict[str, Any]:
    text = read_text(path)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError also of a number of 5000 digits
        raise BadValue(str(path), str(error), "a valid TOML file") from None


def _validated(path: Path, content: Mapping[str, Any], model: type[Declaration]) -> Declaration:
    """What a file declares; its parameters keep within its own constraints."""
    try:
        declaration = model.model_validate(content)
    except ValidationError as error:
        raise one_line(model, str(path), error) from None
    _check_label(path, declaration)
    if isinstance(declaration, Distiller):
        check_own_values(str(path), declaration)
    return declaration


def _check_label(path: Path, declaration: Declaration) -> None:
    """Refuse a label that no name of the component can fill in."""
    fields: dict[str, Any] = {}
    if isinstance(declaration, NetworkDeclaration):
        groups = dict.fromkeys(re.compile(declaration.pattern).groupindex, 0)
        fields = {**declaration.arguments, **groups}
    try:
        declaration.label.format(**fields)
    except (LookupError, ValueError, AttributeError):
        expected = f"a text whose braces name one of: {', '.join(fields) or 'nothing'}"
        raise BadValue(f"{path}, label", declaration.label, expected) from None
