"""Writes the report of a scale: Markdown, data, figures, pages. Equal records, equal bytes."""

from collections.abc import Iterable
from pathlib import Path

from kdbench.exhibits.tables import Exhibit
from kdbench.papers import catalogue
from kdbench.plan.graph import Graph
from kdbench.report.dvc_views import CURVES, dvc_files
from kdbench.report.index import index
from kdbench.report.judgement.judge import judge_claims
from kdbench.report.markdown import without_tags
from kdbench.report.panels import FOLDER as PANELS
from kdbench.report.readings.records import Records
from kdbench.report.render import FOLDERS, SUFFIXES, render
from kdbench.report.site.assets import write_needed
from kdbench.report.site.pages import BOARDS, PAGES, Site, is_ours
from kdbench.store.atomic import write_bytes
from kdbench.store.paths import Paths

INDEX = "README.md"


def make_report(graph: Graph, paths: Paths, records: Records | None = None) -> Path:
    """Write every exhibit of a graph and the index, and return the index's path.

    Nothing is written before every record has been read, so a damaged record leaves the old
    report as it was. Files of the graph's exhibits whose records are gone are removed. All others
    stay: those of exhibits that another plan asked for are listed in the index. The user's own
    tables have a folder of their own.

    Args:
        graph: the plan.
        paths: of the project.
        records: of the project, where the caller looks at them as well.

    Raises:
        DamagedData: a record is not what it should be.
    """
    records = records or Records(paths)
    folder = paths.report(graph.scale.name, own=graph.own)
    rendered = [(exhibit, render(exhibit, graph, records, folder)) for exhibit in graph.exhibits]
    judged = judge_claims(graph, records)
    page = index(graph, records, rendered, judged, others_in(folder, graph))
    files = {name: content for _, part in rendered for name, content in part.files.items()}
    files.update(Site(graph, records, rendered, judged).pages())
    files.update(dvc_files(line for _, part in rendered for line in part.lines))
    files.update(write_needed(folder))
    for name, content in files.items():
        if name.endswith(".md"):
            content = without_tags(content.decode()).encode()
        write_changed(folder / name, content)
    remove_stale(folder, graph, keep=files)
    write_changed(folder / INDEX, without_tags(page).encode())
    return folder / INDEX


def write_changed(path: Path, content: bytes) -> None:
    """Write a file whole; one that says the same already is left alone."""
    if not path.is_file() or path.read_bytes() != content:
        write_bytes(path, content)


def remove_stale(folder: Path, graph: Graph, keep: Iterable[str]) -> None:
    """Delete files that an exhibit of the graph once wrote and that are not in `keep`.

    Likewise its panels, and the leaderboards and curves, which are those of the plan that the first
    page shows.
    """
    names = {name for exhibit in graph.exhibits for name in file_names(exhibit)}
    boards = [path for path in folder.glob(f"{BOARDS}/*.html") if is_ours(path)]
    curves = folder.glob(f"{CURVES}/*.csv")
    slugs = [exhibit.slug for exhibit in graph.exhibits]
    panels = [path for slug in slugs for path in folder.glob(f"{PANELS}/{slug}/*.png")]
    names |= {path.relative_to(folder).as_posix() for path in (*boards, *curves, *panels)}
    for name in sorted(names - set(keep)):
        (folder / name).unlink(missing_ok=True)


def others_in(folder: Path, graph: Graph) -> dict[str, str]:
    """Exhibits that a report of another plan left in the folder: their files by their titles."""
    asked = {exhibit.id for exhibit in graph.exhibits}
    others: dict[str, str] = {}
    for exhibit in catalogue():
        files = [name for name in file_names(exhibit) if (folder / name).is_file()]
        if files and exhibit.id not in asked:
            others[exhibit.title] = files[0]
    return others


def file_names(exhibit: Exhibit) -> list[str]:
    """Every file that an exhibit may have in a report's folder, that for readers first."""
    names = [f"{part}/{exhibit.slug}{end}" for end in SUFFIXES for part in FOLDERS]
    return [*names, f"{PAGES}/{exhibit.slug}.html"]
