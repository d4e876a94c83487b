"""Compound files ([MS-CFB]) for the tests: old Excel workbooks and Outlook messages, which nothing here can write."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

Storage = Mapping[str, "bytes | Storage"]

SECTOR = 512
SMALL_SECTOR = 64
SMALL = 4096
"""Streams below this size lie in sectors of 64 bytes, in a stream of their own."""

_END, _FREE, _FAT, _NONE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD, 0xFFFFFFFF


def compound(root: Storage) -> bytes:
    """A compound file of these streams and storages."""
    return _Compound(root).bytes()


class _Compound:
    def __init__(self, root: Storage) -> None:
        self._sectors: list[bytes] = []
        self._fat: list[int] = []
        self._small = bytearray()
        self._small_fat: list[int] = []
        self._entries: list[bytes] = [b""]
        child = self._children(root)
        start = self._store(bytes(self._small))
        self._entries[0] = _entry("Root Entry", 5, start=start, size=len(self._small), child=child)

    def bytes(self) -> bytes:
        small_fat = self._store(b"".join(struct.pack("<I", value) for value in self._small_fat))
        directory = self._store(b"".join(self._entries))
        fat_sectors = 1
        while len(self._fat) + fat_sectors > fat_sectors * SECTOR // 4:
            fat_sectors += 1
        first_fat = len(self._sectors)
        fat = [*self._fat, *[_FAT] * fat_sectors]
        fat += [_FREE] * (fat_sectors * SECTOR // 4 - len(fat))
        header = struct.pack(
            "<8s16sHHHHH6xIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 0x3E, 3, 0xFFFE, 9, 6, 0, fat_sectors,
            directory, 0, SMALL, small_fat, -(-len(self._small_fat) * 4 // SECTOR), _END, 0,
        )  # fmt: skip
        difat = [*range(first_fat, first_fat + fat_sectors)] + [_FREE] * (109 - fat_sectors)
        return b"".join([header, struct.pack("<109I", *difat), *self._sectors, struct.pack(f"<{len(fat)}I", *fat)])

    def _children(self, storage: Storage) -> int:
        """Adds the entries of a storage, each the right neighbour of the one before; the first one's number."""
        first = following = _NONE
        for name, content in sorted(storage.items(), key=lambda item: (len(item[0]), item[0].upper()), reverse=True):
            number = len(self._entries)
            self._entries.append(b"")
            if isinstance(content, bytes):
                start = self._store(content) if len(content) >= SMALL else self._store_small(content)
                entry = _entry(name, 2, start=start, size=len(content), right=following)
            else:
                entry = _entry(name, 1, child=self._children(content), right=following)
            self._entries[number] = entry
            first = following = number
        return first

    def _store(self, data: bytes) -> int:
        if not data:
            return _END
        start = len(self._sectors)
        for offset in range(0, len(data), SECTOR):
            self._sectors.append(data[offset : offset + SECTOR].ljust(SECTOR, b"\0"))
            self._fat.append(len(self._sectors))
        self._fat[-1] = _END
        return start

    def _store_small(self, data: bytes) -> int:
        if not data:
            return _END
        start = len(self._small_fat)
        for offset in range(0, len(data), SMALL_SECTOR):
            self._small += data[offset : offset + SMALL_SECTOR].ljust(SMALL_SECTOR, b"\0")
            self._small_fat.append(len(self._small_fat) + 1)
        self._small_fat[-1] = _END
        return start


def _entry(name: str, kind: int, *, start: int = 0, size: int = 0, child: int = _NONE, right: int = _NONE) -> bytes:
    encoded = name.encode("utf-16-le") + b"\0\0"
    return struct.pack(
        "<64sHBBIII16sI16sIQ", encoded, len(encoded), kind, 1, _NONE, right, child, b"", 0, b"", start, size
    )


def old_workbook(sheets: Mapping[str, Sequence[Sequence[str | float]]]) -> bytes:
    """An Excel 97 workbook (BIFF8) of these rows."""
    bodies = [_sheet(rows) for rows in sheets.values()]
    begin, end = _record(0x0809, struct.pack("<HHHHII", 0x0600, 0x0005, 0, 0, 0, 0)), _record(0x000A, b"")
    names = [struct.pack("<BB", len(name), 0) + name.encode("latin-1") for name in sheets]
    offset = len(begin) + sum(4 + 6 + len(name) for name in names) + len(end)
    stream = begin
    for name, body in zip(names, bodies, strict=True):
        stream += _record(0x0085, struct.pack("<IBB", offset, 0, 0) + name)
        offset += len(body)
    return compound({"Workbook": stream + end + b"".join(bodies)})


def _sheet(rows: Sequence[Sequence[str | float]]) -> bytes:
    stream = _record(0x0809, struct.pack("<HHHHII", 0x0600, 0x0010, 0, 0, 0, 0))
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            place = struct.pack("<HHH", row, column, 0)
            if isinstance(cell, str):
                stream += _record(0x0204, place + struct.pack("<HB", len(cell), 0) + cell.encode("latin-1"))
            else:
                stream += _record(0x0203, place + struct.pack("<d", cell))
    return stream + _record(0x000A, b"")


def _record(kind: int, body: bytes) -> bytes:
    return struct.pack("<HH", kind, len(body)) + body


def outlook_message(
    subject: str, body: str, *, headers: str = "", html: bytes = b"", attachments: Sequence[Storage] = ()
) -> bytes:
    return compound(message_storage(subject, body, headers=headers, html=html, attachments=attachments))


def message_storage(
    subject: str,
    body: str,
    *,
    headers: str = "",
    html: bytes = b"",
    attachments: Sequence[Storage] = (),
    is_embedded: bool = False,
) -> Storage:
    properties = {0x0037: subject, 0x1000: body, 0x007D: headers, **({0x1013: html} if html else {})}
    storages = {f"__attach_version1.0_#{number:08X}": storage for number, storage in enumerate(attachments)}
    return {**_properties(properties, header=24 if is_embedded else 32), **storages}


def attached_file(name: str, media_type: str, data: bytes) -> Storage:
    return _properties({0x3707: name, 0x370E: media_type, 0x3701: data}, header=8)


def attached_message(message: Storage) -> Storage:
    return {**_properties({}, header=8), "__substg1.0_3701000D": message}


def _properties(values: Mapping[int, str | bytes], *, header: int) -> dict[str, bytes]:
    table, streams = bytes(header), {}
    for key, value in values.items():
        kind, data = (0x001F, value.encode("utf-16-le")) if isinstance(value, str) else (0x0102, value)
        if data:
            table += struct.pack("<HHIII", kind, key, 6, len(data), 0)
            streams[f"__substg1.0_{key:04X}{kind:04X}"] = data
    return {"__properties_version1.0": table, **streams}
