"""A shared folder as one file: a tar archive, the same bytes for the same content."""

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kdbench.data.ingest.archive import LARGEST, members
from kdbench.errors import UserError
from kdbench.store.atomic import whole_file
from kdbench.store.disk import plain_errors

ENDING = ".tar.xz"


def pack(folder: Path, file: Path) -> None:
    """Write a folder as an archive whose members lie below one folder of the archive's name.

    Args:
        folder: what to pack.
        file: the archive; its name ends with `ENDING`.
    """
    top = file.name.removesuffix(ENDING)
    with (
        plain_errors(file),
        whole_file(file) as temporary,
        tarfile.open(temporary, "w:xz", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            member = tarfile.TarInfo(f"{top}/{path.relative_to(folder).as_posix()}")
            member.size = path.stat().st_size
            with path.open("rb") as content:
                archive.addfile(member, content)


@contextmanager
def unpacked(source: Path) -> Iterator[Path]:
    """The folder of a source: itself, or what an archive holds, for as long as the block lasts.

    Args:
        source: a folder, or a tar or zip archive of one.

    Raises:
        DamagedData: no whole archive, or one with links, paths that lead out, or too many bytes.
        UserError: it cannot be read, or is not there.
    """
    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    if not source.is_file():
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="kdbench-") as place:
        for member in members(source, largest_member=LARGEST):
            path = Path(place) / member.name
            with plain_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(member.data)
        inside = list(Path(place).iterdir())
        folder = inside[0] if len(inside) == 1 and inside[0].is_dir() else Path(place)
        try:
            yield folder
        except UserError as error:
            raise UserError(f"{error}".replace(f"{folder}", f"{source}")) from error
