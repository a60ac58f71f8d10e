"""The scripts and styles of a report, from installed Python packages; nothing is downloaded.

Charts: Vega-Lite with Vega-Embed, from vl-convert-python (0.9 MB). One JSON text describes a chart
with its hover, zoom and legend, and its SVG has labels for screen readers. Plotly's only bundle in
a package has 4.8 MB; Bokeh draws on a canvas that screen readers cannot see.

Tables: DataTables, from itables (0.6 MB). It sorts, searches and pages a table that already stands
in the page, so a page without scripts is complete; the others build their tables from data.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

from kdbench.errors import UserError

FOLDER = "assets"
OWN = ("early.js", "site.js", "site.css")
EXPORTS = re.compile(r"export\s*\{([^}]*)\}")
EXPORT = re.compile(r"^([\w$]+) as ([\w$]+)$")


@dataclass(frozen=True)
class Library:
    """Files of a library in a report's assets; their names hold its version."""

    script: str
    style: str = ""


def table_library() -> Library | None:
    """DataTables; None where itables is not installed."""
    number = _version("itables")
    return Library(f"datatables-{number}.js", f"datatables-{number}.css") if number else None


def chart_library() -> Library | None:
    """Vega-Lite; None where vl-convert-python is not installed."""
    number = _version("vl-convert-python")
    return Library(f"vega-{number}.js") if number else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def write_needed(folder: Path) -> Mapping[str, bytes]:
    """Contents of all assets by path in a report, without libraries that already lie there.

    A library's name holds its version: the file of that name has that content, and making Vega's
    bundle takes seconds.

    Raises:
        UserError: an installed library is not what this version of kdbench knows.
    """
    static = files("kdbench.report.site") / "static"
    contents = {f"{FOLDER}/{name}": (static / name).read_bytes() for name in OWN}
    tables, charts = table_library(), chart_library()
    if tables and not (folder / FOLDER / tables.script).is_file():
        contents[f"{FOLDER}/{tables.script}"] = tables_script()
    if tables:
        contents[f"{FOLDER}/{tables.style}"] = (_itables() / "dt_bundle.css").read_bytes()
    if charts and not (folder / FOLDER / charts.script).is_file():
        contents[f"{FOLDER}/{charts.script}"] = charts_script()
    return contents


def _itables() -> Path:
    return Path(str(files("itables") / "html"))


def tables_script() -> bytes:
    """DataTables as a classic script that sets `kdbenchTables`: browsers load no module from disk.

    Raises:
        UserError: the package's module has no exports that this function understands.
    """
    module = (_itables() / "dt_bundle.js").read_text(encoding="utf-8")
    return as_classic(module, "kdbenchTables", {"default": "DataTable", "jQuery": "jQuery"})


def as_classic(module: str, name: str, wanted: Mapping[str, str]) -> bytes:
    r"""A bundled ES module as a script that sets one global object.

    Args:
        module: without imports, with one `export {a as b, ...}`.
        name: of the global object.
        wanted: its keys by the exports' names.

    Raises:
        UserError: the module has another form.

    >>> as_classic("var a=1;export{a as default}", "lib", {"default": "One"})
    b'(()=>{"use strict";var a=1;window.lib={One:a};})();\n'
    """
    matches = list(EXPORTS.finditer(module))
    last = matches[-1] if matches else None
    parts = [EXPORT.match(part.strip()) for part in last[1].split(",")] if last else []
    inner = {match[2]: match[1] for match in parts if match}
    if last is None or not wanted.keys() <= inner.keys():
        raise UserError("itables: its bundle of DataTables has another form; use constraints.txt")
    keys = ",".join(f"{key}:{inner[export]}" for export, key in wanted.items())
    body = f"{module[: last.start()]}window.{name}={{{keys}}};{module[last.end() :]}"
    return f'(()=>{{"use strict";{body}}})();\n'.encode()


@cache
def charts_script() -> bytes:
    """Vega, Vega-Lite and Vega-Embed as one script that sets `vegaEmbed`."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return f"(()=>{{{bundle}}})();\n".encode()
