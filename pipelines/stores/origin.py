"""Names as their store has them go in, text that any part can keep comes out, and back again.

A file name on Linux is bytes, and a key in S3 may hold control characters; neither can be kept in a database or shown
on one line. Such a byte or character is written as U+FFFD and two hexadecimal digits, and U+FFFD itself twice, so that
every address stands for exactly one document. All other names, those with spaces, `%`, `?` or `#` too, stay as they
are: an origin is an address of ours and never parsed as a URL.
"""

from __future__ import annotations

import re

_MARK = "\ufffd"
# Python holds the bytes of a file name that are not UTF-8 as U+DC80 to U+DCFF (PEP 383).
_UNKEEPABLE = re.compile(f"[\\x00-\\x1f\\x7f\\udc80-\\udcff{_MARK}]")
_ESCAPED = re.compile(f"{_MARK}({_MARK}|[0-9A-F]{{2}})")


def escape(name: str) -> str:
    """`name` as it stands in an origin."""
    return _UNKEEPABLE.sub(_escape, name)


def unescape(text: str) -> str:
    """The name that `escape` made this of."""
    return _ESCAPED.sub(_unescape, text)


def is_hidden(part: str) -> bool:
    """Whether a file or folder of this name is left out. `..`, which a key in S3 may hold, hides nothing."""
    return part.startswith(".") and part not in (".", "..")


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return _MARK * 2 if character == _MARK else f"{_MARK}{ord(character) & 0xFF:02X}"


def _unescape(match: re.Match[str]) -> str:
    if match[1] == _MARK:
        return _MARK
    byte = int(match[1], 16)
    return chr(byte) if byte < 0x80 else chr(0xDC00 + byte)
