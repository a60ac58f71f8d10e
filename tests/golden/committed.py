"""The records that git keeps: of results/ itself, and of the archives of finished studies."""

import json
from pathlib import Path

from kdbench.data.ingest.archive import members
from kdbench.store.record_sets import is_record_file

RESULTS = Path(__file__).parents[2] / "results"


def committed_records():
    """Every record once: one that was merged from an archive lies in both places."""
    texts = {}
    for archive in sorted(RESULTS.glob("*/*.tar.xz")):
        for member in members(archive, lambda name: is_record_file(Path(name))):
            texts[Path(member.name).name] = member.data
    for file in sorted(RESULTS.glob("*/records/*/*/*.json")):
        texts[file.name] = file.read_bytes()
    return [json.loads(text) for text in texts.values()]
