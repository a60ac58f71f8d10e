"""CINIC-10, whose official archive holds class folders of PNG files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdbench.data.ingest.layouts import class_folders
from kdbench.data.ingest.small_images import Official, prepare_pictures


def prepare(source: Path, out: Path, declaration: Mapping[str, Any]) -> str:
    """Prepare it from any source, see `small_images.prepare_pictures`.

    Returns:
        The fingerprint.
    """
    return prepare_pictures(source, out, declaration, Official(class_folders))
