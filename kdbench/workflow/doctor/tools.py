"""Checks of git, DVC and Snakemake: what calls that were killed, and merges, leave behind."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from kdbench.plan.graph import Graph
from kdbench.store.locks import is_held
from kdbench.store.paths import Paths
from kdbench.workflow.doctor.findings import Finding, care, fine, wrong
from kdbench.workflow.protection import LOCK

MARKERS = ("<<<<<<< ", ">>>>>>> ")
MERGED_FILES = ("dvc.lock", "dvc.yaml", "params.yaml")
SERVED = ("Snakefile", "rules/report.smk")


def check_git(paths: Paths) -> Iterator[Finding]:
    """Merges that are not finished, and files with their marks."""
    git = paths.root / ".git"
    if not git.exists():
        advice = "records then name no commit of yours; KDBENCH_COMMIT may give one"
        yield care("git", "the project is in no repository of its own", advice)
    if (git / "MERGE_HEAD").exists():
        yield care("git", "a merge is not finished", "git merge --continue, or --abort")
    tracked = [*paths.results.glob("*/tracked/*/*.dvc")]
    for file in (*(paths.root / name for name in MERGED_FILES), *tracked):
        if file.is_file() and any(
            line.startswith(MARKERS) for line in file.read_text(errors="replace").splitlines()
        ):
            yield wrong("git", f"{file} has marks of a merge", "keep one side, or both lists")


def check_dvc(paths: Paths) -> Iterator[Finding]:
    """Whether the project is under DVC, and what state its files are in."""
    root = paths.root
    if not (root / ".dvc").is_dir():
        yield care("dvc", "the project is not under DVC", "dvc init, where artifacts shall be kept")
        return
    for name in ("dvc.yaml", "dvc.lock"):
        if error := _yaml_error(root / name):
            yield wrong("dvc", f"{name}: {error}", f"git checkout -- {name}, then dvc repro")
    locks = [root / ".dvc/tmp" / name for name in ("lock", "rwlock")]
    if any(map(_names_holder, locks)):
        advice = "if no DVC is at work, delete .dvc/tmp/rwlock and .dvc/tmp/lock"
        yield care("dvc", "its locks name processes", advice)
    config = root / ".dvc/config"
    if not config.is_file() or "remote" not in config.read_text(errors="replace"):
        advice = "dvc remote add --default NAME ADDRESS, then dvc push"
        yield care("dvc", "no remote: artifacts are on this machine alone", advice)
    else:
        yield fine("dvc", "in use, with a remote")


def _names_holder(file: Path) -> bool:
    """Whether one of DVC's locks is held; a bare number stays in `lock` after every command."""
    content = file.read_text(errors="replace").strip() if file.is_file() else ""
    return content not in ("", "{}") and not content.isdigit()


def _yaml_error(file: Path) -> str:
    """The first line of a YAML error; empty if the file is correct."""
    if not file.is_file():
        return ""
    try:
        yaml.safe_load(file.read_text(errors="replace"))
    except yaml.YAMLError as error:
        return str(error).splitlines()[0]
    return ""


def check_snakemake(graph: Graph, paths: Paths) -> Iterator[Finding]:
    """The Snakefile, a call at work, and what killed calls left."""
    root = paths.root
    missing = [name for name in SERVED if not (root / name).is_file()]
    if missing:
        advice = "git checkout -- Snakefile rules; kdbench run works without"
        yield wrong("snakemake", f"no file {', '.join(missing)}", advice)
    lock = root / LOCK.format(scale=graph.scale.name)
    if is_held(lock):
        advice = "a second call would end with one line"
        yield care("snakemake", f"a call works at scale {graph.scale.name}", advice)
    left = [*(root / ".snakemake/locks").glob("*.lock")]
    if left:
        advice = "they hinder no call of this project; snakemake --unlock takes them away"
        yield care("snakemake", f"{len(left)} lock files of calls that were killed", advice)
    if not missing:
        yield fine("snakemake", "the Snakefile and its rules are there")
