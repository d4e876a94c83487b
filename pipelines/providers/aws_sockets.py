"""Lets a call of boto3 be broken off: the thread that makes it goes in, a way to shut its socket down comes out.

boto3 cannot be told to stop waiting for bytes. Whoever shuts the socket down wakes the thread that waits.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Lock, local
from typing import Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)

_ownership = Lock()
"""Held while a connection changes hands, so that none is shut down which another call has taken over."""

_here = local()
"""`_here.line` is the line of the call that this thread is making."""


class Line:
    """The connection of one call, if it has one now. Used as a context manager on the thread that makes the call."""

    def __init__(self) -> None:
        self.cut = False
        self._connection: _Connection | None = None

    def __enter__(self) -> Line:
        _here.line = self
        return self

    def __exit__(self, *_: object) -> None:
        _here.line = None
        with _ownership:
            if self._connection is not None and self._connection.line is self:
                self._connection.line = None

    def cut_off(self) -> None:
        """Break the connection off, from any thread; one that is not made yet is then not used."""
        with _ownership:
            self.cut = True
            if self._connection is not None and self._connection.line is self:
                _shut_down(self._connection.sock)

    def lead_over(self, connection: _Connection) -> None:
        """The call is now made on this connection; raises `ConnectionAbortedError` when it was cut off before."""
        with _ownership:
            if self.cut:
                raise ConnectionAbortedError("nobody waits for this answer any more")
            self._connection, connection.line = connection, self


def make_stoppable(client: object) -> None:
    """Have the connections of a boto3 client known to the line of the call that is made on them.

    A work-around for botocore 1.44, which offers no way to the socket of a call: these are its private names.
    """
    session: Any = client._endpoint.http_session  # type: ignore[attr-defined]
    session._pool_classes_by_scheme.update(http=_PlainPool, https=_TlsPool)


class _Connection:
    """Tells the line when it is taken for a call, and when its socket is there."""

    line: Line | None = None
    sock: Any

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]  # of the connection it is mixed into
        self._tell()

    def request(self, *args: object, **kwargs: object) -> object:
        self._tell()
        return super().request(*args, **kwargs)  # type: ignore[misc]  # as above

    def _tell(self) -> None:
        line: Line | None = getattr(_here, "line", None)
        if line is not None:
            line.lead_over(self)


class _PlainConnection(_Connection, AWSHTTPConnection):  # type: ignore[misc]  # its own bases disagree in the stubs
    pass


class _TlsConnection(_Connection, AWSHTTPSConnection):  # type: ignore[misc]  # as above
    pass


class _PlainPool(AWSHTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(AWSHTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def _shut_down(sock: object) -> None:
    if isinstance(sock, socket.socket):
        with suppress(OSError):  # the other side was faster
            # Not by the method of a TLS socket, which forgets its keys while the thread is reading with them.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
