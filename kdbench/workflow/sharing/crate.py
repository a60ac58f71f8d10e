"""Describes a folder of records as an RO-Crate: JSON-LD that archives and their tools read.

Source: RO-Crate Metadata Specification 1.1, https://w3id.org/ro/crate/1.1. Of its many
kinds of entity we need four, so the few keys are written here; `ro-crate-py` brings a dozen
packages.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kdbench.store.atomic import write_json
from kdbench.store.disk import checksum_of
from kdbench.store.record_sets import is_record_file, read_record_set

METADATA = "ro-crate-metadata.json"
SPECIFICATION = "https://w3id.org/ro/crate/1.1"
MEDIA = {".json": "application/json", ".yaml": "application/yaml", ".md": "text/markdown"}
Entity = dict[str, Any]


def write_crate(folder: Path, name: str, licence: str) -> Path:
    """Describe every file of a folder; returns the file that does.

    Args:
        folder: holds records as a project folder does.
        name: of the whole, in a line.
        licence: address of the licence under which the files are given away.
    """
    records = read_record_set(".", folder).records
    files = sorted(f for f in folder.rglob("*") if f.is_file() and f.name != METADATA)
    places = {file.relative_to(folder).as_posix(): file for file in files}
    runs = {digest: name for name in places for digest in records if f".{digest}.json" in name}
    graph = [
        _descriptor(),
        _root(name, licence, places, records),
        *(_file(place, file) for place, file in places.items()),
        *_actions(records, runs),
        *_programs(records),
    ]
    content = {"@context": f"{SPECIFICATION}/context", "@graph": graph}
    write_json(folder / METADATA, content)
    return folder / METADATA


def _descriptor() -> Entity:
    return {
        "@id": METADATA,
        "@type": "CreativeWork",
        "conformsTo": {"@id": SPECIFICATION},
        "about": {"@id": "./"},
    }


def _root(
    name: str, licence: str, places: Mapping[str, Path], records: Mapping[str, Mapping[str, Any]]
) -> Entity:
    finished = [str(record["provenance"].get("finished", "")) for record in records.values()]
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": name,
        "description": f"{len(records)} records of kdbench: a run's specification, numbers, "
        "curves, cost and origin each, sealed; `kdbench merge` checks them and takes them in.",
        "datePublished": max(finished, default="")[:10],
        "license": {"@id": licence},
        "hasPart": [{"@id": place} for place in places],
        "mentions": [{"@id": f"#run-{digest}"} for digest in records],
    }


def _file(place: str, file: Path) -> Entity:
    kind = "a run's record" if is_record_file(Path(place)) else "part of a project"
    return {
        "@id": place,
        "@type": "File",
        "name": file.name,
        "description": kind,
        "contentSize": str(file.stat().st_size),
        "encodingFormat": MEDIA.get(file.suffix, "application/octet-stream"),
        "sha256": checksum_of(file),
    }


def _actions(records: Mapping[str, Mapping[str, Any]], runs: Mapping[str, str]) -> Iterator[Entity]:
    """One action per run: what it read, what it wrote, with which program, when."""
    for digest, record in records.items():
        spec, origin = record["spec"], record["provenance"]
        read = [runs[one] for one in spec["upstream"].values() if one in runs]
        yield {
            "@id": f"#run-{digest}",
            "@type": "CreateAction",
            "name": f"{spec['phase']} {spec['dataset']} {spec['cell']}",
            "startTime": origin.get("started"),
            "endTime": origin.get("finished"),
            "instrument": {"@id": _program(record)},
            "object": [{"@id": place} for place in dict.fromkeys(read)],
            "result": {"@id": runs[digest]},
        }


def _programs(records: Mapping[str, Mapping[str, Any]]) -> Iterator[Entity]:
    by_name = {_program(record): record["provenance"] for record in records.values()}
    for name, origin in sorted(by_name.items()):
        versions = origin.get("versions", {})
        listed = ", ".join(f"{package} {version}" for package, version in versions.items())
        yield {
            "@id": name,
            "@type": "SoftwareApplication",
            "name": "kdbench",
            "version": origin.get("commit") or versions.get("kdbench") or "unknown",
            "softwareRequirements": listed,
        }


def _program(record: Mapping[str, Any]) -> str:
    origin = record["provenance"]
    commit = str(origin.get("commit") or "unknown")[:10]
    return f"#kdbench-{commit}-torch-{origin.get('versions', {}).get('torch', 'unknown')}"
