"""AWS's event stream: an event goes in, the bytes of its frame come out.

https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import struct
from zlib import crc32

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_STRING = 7


def event(kind: str, payload: bytes, content_type: str = "application/json") -> bytes:
    """One event of a stream, such as `contentBlockDelta`."""
    return frame({":event-type": kind, ":content-type": content_type, ":message-type": "event"}, payload)


def failure(kind: str, payload: bytes) -> bytes:
    """An error in the middle of a stream, such as `modelStreamErrorException`; the stream ends with it."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, payload)


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """Lengths and their CRC32, the headers, the payload, and the CRC32 of everything."""
    head = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack("!II", 16 + len(head) + len(payload), len(head))
    message = b"".join((prelude, struct.pack("!I", crc32(prelude)), head, payload))
    return message + struct.pack("!I", crc32(message))


def _header(name: str, value: str) -> bytes:
    return (
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", _STRING, len(value.encode())) + value.encode()
    )
