"""What parsing libraries raise over a broken file in, the one error a reader of the document understands out."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from lxml import etree

from pipelines.errors import UnreadableDocument

BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    etree.LxmlError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""Few of these libraries validate what they read: a missing part is a KeyError, a damaged number a TypeError."""

RUST_PANIC = "PanicException"
"""What a library in Rust (calamine 0.9 over damaged .xls files) fails with: no Exception, and not to be imported."""


@contextmanager
def refuse_broken(what: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn what a library raises over broken data, `errors` of its own included, into `UnreadableDocument`.

    `what` is the kind of file as its reader calls it: "Word file".
    """
    try:
        yield
    except (*BROKEN, *errors) as error:
        raise UnreadableDocument(f"The {what} is broken and cannot be read.") from error
    except BaseException as error:
        if type(error).__name__ != RUST_PANIC:
            raise
        raise UnreadableDocument(f"The {what} is broken and cannot be read.") from error
