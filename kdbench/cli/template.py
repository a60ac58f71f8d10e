"""The two files of a new method, to start from."""

import keyword
import re
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from kdbench.errors import BadValue, UserError
from kdbench.plan.components import find_components
from kdbench.store.atomic import write_text
from kdbench.store.disk import plain_errors

TEMPLATES = Environment(
    loader=PackageLoader("kdbench.cli", "templates"),
    undefined=StrictUndefined,
    keep_trailing_newline=True,
)


def write_template(name: str, folder: Path) -> tuple[Path, Path]:
    """Write `<name>.py` and `<name>.toml`; nothing is overwritten.

    Args:
        name: of the method: small letters, digits and underscores, a letter first.
        folder: made if need be; params.yaml then lists it under `plugins`.

    Returns:
        The two files.

    Raises:
        BadValue: no name for a module, or one that a method of the package has.
        UserError: a file of that name is there, or the folder cannot be written.
    """
    _check_name(name)
    words = name.split("_")
    values = {
        "name": name,
        "cls": "".join(word.capitalize() for word in words),
        "title": " ".join(words).capitalize(),
    }
    code, declaration = folder / f"{name}.py", folder / f"{name}.toml"
    for file in (code, declaration):
        if file.exists():
            raise UserError(f"{file}: already exists; choose another name or folder")
    with plain_errors(folder):
        write_text(code, TEMPLATES.get_template("method.py.jinja").render(values))
        write_text(declaration, TEMPLATES.get_template("method.toml.jinja").render(values))
    return code, declaration


def _check_name(name: str) -> None:
    """Refuse what cannot name a module, and the names of the package's methods."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        expected = "small letters, digits and underscores, a letter first"
        raise BadValue("method new, NAME", name, expected)
    if name in find_components().names("method"):
        raise BadValue("method new, NAME", name, "a name that no method has", "choose another")
