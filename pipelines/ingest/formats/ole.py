"""The container of old Office files, Outlook messages and password-protected new files: what streams it holds."""

from __future__ import annotations

import io
import struct

import olefile

from pipelines.errors import DocumentTooLarge
from pipelines.ingest.formats.broken import refuse_broken

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_SECTOR = 4096
_IN_FAT = _SECTOR // 4
_FAT_SECTORS = 109
"""What fits the header itself: 446 MB."""
_END, _FREE, _IS_FAT = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD


def stream_names(data: bytes) -> frozenset[str]:
    """The names of the streams at the top; raises `UnreadableDocument` where the container is broken."""
    with refuse_broken("Office file"), olefile.OleFileIO(io.BytesIO(data)) as container:
        return frozenset(path[0] for path in container.listdir() if len(path) == 1)


def read_stream(data: bytes, *names: str) -> bytes:
    """The bytes of the first of these streams that there is, none without any; `UnreadableDocument` as above."""
    with refuse_broken("Office file"), olefile.OleFileIO(io.BytesIO(data)) as container:
        for name in names:
            if container.exists(name):
                with container.openstream(name) as stream:
                    return bytes(stream.read())
    return b""


def repacked(name: str, stream: bytes) -> bytes:
    """A new container ([MS-CFB], version 4) of this one stream, for a library that trusts what a container declares.

    Raises:
        DocumentTooLarge: the stream is larger than such a container holds.
    """
    # A shorter stream would lie elsewhere, with the small ones; what reads Excel's records stops at their end.
    data = stream.ljust(_SECTOR, b"\0")
    sectors = -(-len(data) // _SECTOR)
    fat_sectors = -(-(sectors + 2) // (_IN_FAT - 1))
    if fat_sectors > _FAT_SECTORS:
        raise DocumentTooLarge(f"The file holds {len(stream) // 2**20} MB of cells, which is more than is read.")
    # calamine 0.9 wants a sector of small streams even where there are none.
    directory, small, first = fat_sectors, fat_sectors + 1, fat_sectors + 2
    fat = [*[_IS_FAT] * fat_sectors, _END, _END, *range(first + 1, first + sectors), _END]
    fat += [_FREE] * (fat_sectors * _IN_FAT - len(fat))
    numbers = (0x3E, 4, 0xFFFE, 12, 6, 1, fat_sectors, directory, 0, _SECTOR, _END, 0, _END, 0)
    header = MAGIC + struct.pack("<16x5H6x9I", *numbers)
    header += struct.pack(f"<{_FAT_SECTORS}I", *range(fat_sectors), *[_FREE] * (_FAT_SECTORS - fat_sectors))
    entries = _entry("Root Entry", 5, start=small, size=0, child=1) + _entry(name, 2, start=first, size=len(data))
    parts = (header, struct.pack(f"<{len(fat)}I", *fat), entries, bytes(_SECTOR), data)
    return b"".join(part + bytes(-len(part) % _SECTOR) for part in parts)


def _entry(name: str, kind: int, *, start: int, size: int, child: int = _FREE) -> bytes:
    encoded = name.encode("utf-16-le") + b"\0\0"
    return struct.pack("<64sHBB3I36xIQ", encoded, len(encoded), kind, 1, _FREE, _FREE, child, start, size)
