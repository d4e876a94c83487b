"""The container of old Office files, Outlook messages and password-protected new files: what streams it holds."""

from __future__ import annotations

import io

import olefile  # type: ignore[import-untyped]

from pipelines.ingest.formats.broken import refuse_broken

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


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
