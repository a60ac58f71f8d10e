"""The declarations beside the components: every default is known without importing torch."""

import importlib.metadata
import importlib.util
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from kdbench.errors import BadValue, UnknownName
from kdbench.plan.validation import check_limits, within_limits
from kdbench.store.fingerprint import code_fingerprint

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "method": "distill",
    "network": "models.families",
    "dataset": "data.sets",
    "search": "search",
}
PLUGIN_GROUP = "kdbench.components"
TEACHER_MODES = ("eval", "batch")
SHORT = ("smoke", "lite")  # scales for which a declaration may have values of its own


@dataclass(frozen=True)
class Component:
    """One method, network, data set or search, as its declaration tells it.

    Attributes:
        kind: "method", "network", "dataset" or "search".
        name: as params.yaml and the exhibits write it.
        module: where its code lives: a dotted name, or the path of a plug-in's .py file.
        class_name: the class in that module.
        arguments: constructor arguments that follow from the name (networks).
        declaration: the whole TOML.
        plugin: whether it comes from outside the package; its code then counts in digests.
    """

    kind: str
    name: str
    module: str
    class_name: str
    arguments: Mapping[str, Any]
    declaration: Mapping[str, Any]
    plugin: bool = False

    @property
    def label(self) -> str:
        """Printed name."""
        return str(self.declaration["label"]).format(**self.arguments)

    @property
    def family(self) -> str:
        """The declaration's own name: for networks, the family."""
        return Path(self.module).stem if self.plugin else self.module.rpartition(".")[2]

    @cached_property
    def revision(self) -> int | str:
        """What stands for the component's arithmetic in digests."""
        revision: int = self.declaration["revision"]
        return f"{revision}+{code_fingerprint([Path(self.module)])}" if self.plugin else revision

    @property
    def described(self) -> dict[str, Any]:
        """The declaration with its name and where its code lies: what `kdbench.data` reads."""
        return {**self.declaration, "name": self.name, "module": self.module}

    @property
    def teacher_bn(self) -> str:
        """Teacher's batch norm while distilling: "eval" or "batch" statistics."""
        return str(self.declaration.get("teacher_bn", "eval"))

    @property
    def takes_teacher_bn(self) -> bool:
        """Whether params.yaml may set `teacher_bn`, which no class takes and no default lists."""
        return self.kind == "search" or (self.kind == "method" and self.needs_teacher)

    @property
    def search(self) -> str | None:
        """The search whose scheme a method needs, if any."""
        return self.declaration.get("search")

    @property
    def needs_teacher(self) -> bool:
        """Whether a method reads a teacher at all."""
        return bool(self.declaration.get("needs_teacher", True))

    def parameters(
        self, *, scale: str, pair: str | None, overrides: Mapping[str, Any], where: str
    ) -> dict[str, Any]:
        """Defaults, then those of the pair, of a short scale, and of params.yaml.

        Raises:
            UnknownName: an override that the declaration does not know.
            BadValue: an override of another type than the default's, or out of its range.
        """
        defaults = dict(self.declaration.get("defaults", {}))
        overridable = {**({"teacher_bn": "eval"} if self.takes_teacher_bn else {}), **defaults}
        known = dict(defaults)
        known.update(self.declaration.get("pairs", {}).get(pair or "", {}))
        if scale in SHORT and self.kind != "dataset":
            known.update(self.declaration.get(scale, {}))
        for key, value in overrides.items():
            if key not in overridable:
                raise UnknownName("parameter", key, list(overridable), where=f"{where}.{self.name}")
            if key == "teacher_bn" and value not in TEACHER_MODES:
                raise BadValue(f"{where}.{self.name}.{key}", value, "'eval' or 'batch'")
            known[key] = checked(f"{where}.{self.name}.{key}", value, overridable[key])
            within_limits(f"{where}.{self.name}.{key}", key, known[key], self.declaration)
        return known


def checked(where: str, value: Any, default: Any) -> Any:
    """A value of the declared default's kind; an integer in a float's place becomes one.

    Raises:
        BadValue: another kind, or a number that is not finite.
    """
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    wrong = type(value) is not type(default)
    if isinstance(value, float) and not wrong:
        wrong = not math.isfinite(value)
    if isinstance(value, list) and not wrong and default:
        wrong = any(type(entry) is not type(default[0]) for entry in value)
    if wrong:
        raise BadValue(where, value, f"a value like {default!r}")
    return value


@dataclass(frozen=True)
class Components:
    """Every declaration that can be found, by kind and file name."""

    declarations: Mapping[str, Mapping[str, tuple[Path, Mapping[str, Any]]]]
    plugins: frozenset[Path] = frozenset()

    def get(self, kind: str, name: str, *, where: str) -> Component:
        """The component of that name.

        Raises:
            UnknownName: with the nearest name that exists.
        """
        if kind == "network":
            return self._network(name, where)
        if name not in self.declarations[kind]:
            raise UnknownName(kind, name, self.names(kind), where=where)
        path, declaration = self.declarations[kind][name]
        return self._component(kind, name, path, declaration, {})

    def names(self, kind: str) -> list[str]:
        """Names of one kind; networks give the examples of their families."""
        if kind == "network":
            families = self.declarations[kind].values()
            return [example for _, declared in families for example in declared["examples"]]
        return sorted(self.declarations[kind])

    def plugin_methods(self) -> list[str]:
        """Names of the methods that come from outside the package."""
        methods = self.declarations["method"].items()
        return sorted(name for name, (path, _) in methods if path.parent in self.plugins)

    def _network(self, name: str, where: str) -> Component:
        for path, declaration in self.declarations["network"].values():
            match = re.fullmatch(declaration["pattern"], name)
            if match:
                found = {k: v for k, v in match.groupdict().items() if v is not None}
                numbers = {k: _number(v) for k, v in found.items()}
                arguments = {**declaration.get("arguments", {}), **numbers}
                return self._component("network", name, path, declaration, arguments)
        raise UnknownName("network", name, self.names("network"), where=where)

    def _component(
        self,
        kind: str,
        name: str,
        path: Path,
        declaration: Mapping[str, Any],
        arguments: Mapping[str, Any],
    ) -> Component:
        stem = declaration.get("module", path.stem)
        plugin = path.parent in self.plugins
        module = str(path.with_name(f"{stem}.py")) if plugin else f"kdbench.{PACKAGES[kind]}.{stem}"
        class_name = declaration.get("class", "")
        return Component(kind, name, module, class_name, arguments, declaration, plugin)


def _number(text: str) -> int | float | str:
    """What a part of a network's name stands for: 40 and 0.5 are numbers, "x4" is text."""
    if text.isdigit():
        return int(text)
    return float(text) if re.fullmatch(r"\d+\.\d+", text) else text


def find_components(plugins: Iterable[str] = ()) -> Components:
    """Read every declaration of the package, of installed plug-ins and of the given folders.

    A plug-in folder holds pairs of files `<name>.py` and `<name>.toml`, the latter with a key
    `kind`. Installed packages offer such a folder through the entry point group
    `kdbench.components`, whose value names a package.

    Raises:
        BadValue: a folder that does not exist, a declaration that lacks a key or its code, or a
            name that another component of the same kind has.
    """
    return _find_components(tuple(plugins))


@cache
def _find_components(plugins: tuple[str, ...]) -> Components:
    found: dict[str, dict[str, tuple[Path, Mapping[str, Any]]]] = {k: {} for k in PACKAGES}
    for kind, package in PACKAGES.items():
        for path in sorted((ROOT / package.replace(".", "/")).glob("*.toml")):
            found[kind][path.stem] = (path, _read(path, kind))
    folders = list(dict.fromkeys([*_installed(), *(Path(folder) for folder in plugins)]))
    for folder in folders:
        if not folder.is_dir():
            raise BadValue("params.yaml, plugins", str(folder), "a folder with declarations")
        for path in sorted(folder.glob("*.toml")):
            declaration = _read(path)
            if declaration.get("kind") not in PACKAGES:
                expected = f"one of {', '.join(PACKAGES)}"
                raise BadValue(f"{path}, kind", declaration.get("kind"), expected)
            _check_own(path, declaration, found[declaration["kind"]])
            found[declaration["kind"]][path.stem] = (path, declaration)
    return Components(found, frozenset(folders))


def _installed() -> list[Path]:
    points = importlib.metadata.entry_points(group=PLUGIN_GROUP)
    specs = [importlib.util.find_spec(point.value) for point in points]
    return [Path(spec.origin).parent for spec in specs if spec and spec.origin]


def _check_own(
    path: Path, declaration: Mapping[str, Any], others: Mapping[str, tuple[Path, Mapping[str, Any]]]
) -> None:
    """Refuse a plug-in without code, or with a name that is taken."""
    kind, name = declaration["kind"], path.stem
    if name in others:
        taken = f"a name that no other {kind} has ({others[name][0]} declares one)"
        raise BadValue(str(path), name, taken, "rename the plug-in's two files")
    code = path.with_name(f"{declaration.get('module', name)}.py")
    if not code.is_file():
        raise BadValue(str(path), f"no file {code}", "the code beside its declaration")


def _read(path: Path, kind: str | None = None) -> Mapping[str, Any]:
    """A declaration; what every component has is there, and what a network must have."""
    try:
        declaration = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadValue(str(path), str(error), "a valid TOML file") from None
    for key in ("label", "revision"):
        if key not in declaration:
            raise BadValue(str(path), f"no key {key!r}", "a declaration with label and revision")
    kind = kind or declaration.get("kind")
    if kind == "network":
        _check_network(path, declaration)
    if kind in ("method", "search", "network") and not declaration.get("class"):
        raise BadValue(str(path), "no key 'class'", "the class in the .py file beside it")
    if kind in ("method", "search"):
        check_limits(str(path), declaration)
    return declaration


def _check_network(path: Path, declaration: Mapping[str, Any]) -> None:
    for key in ("pattern", "examples"):
        if not declaration.get(key):
            expected = "a network's declaration with pattern and examples"
            raise BadValue(str(path), f"no key {key!r}", expected)
    pattern, examples = declaration["pattern"], declaration["examples"]
    try:
        re.compile(pattern)
    except (re.error, TypeError) as error:
        raise BadValue(f"{path}, pattern", pattern, "a regular expression", str(error)) from None
    if not isinstance(examples, list) or not all(isinstance(name, str) for name in examples):
        raise BadValue(f"{path}, examples", examples, "a list of names")
