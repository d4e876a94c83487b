"""`weed mini`: moto's S3 server with SeaweedFS' port, account and health check, whose objects outlive the process.

    weed mini -dir=/data

Moto keeps everything in memory. Each change that succeeded is written to a journal and made again at the next start;
an object that came in parts is journalled as one. ETags and dates are as they were, upload ids and versions are not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from datetime import datetime
from io import BytesIO
from pathlib import Path
from shutil import disk_usage
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import FakeKey, s3_backends
from pydantic_settings import BaseSettings
from werkzeug.serving import make_server
from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Response

from tests.compose.programs.journal import Change, Journal
from tests.compose.programs.s3_signature import refusal

PORT = 8333
MIN_FREE = 2**20
"""The vendor's takes nothing more while less than a part of the disk is free, and says only that it failed."""


class _Variables(BaseSettings):
    aws_access_key_id: str = ""
    aws_secret_access_key: str = ""


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="weed", description=__doc__, allow_abbrev=False)
    parser.add_argument("command", choices=["mini"])
    parser.add_argument("-dir", type=Path, default=Path("/data"))
    arguments, other = parser.parse_known_args()
    if other:
        print(f"stand-in: {' '.join(other)} means nothing here", flush=True)
    variables = _Variables()
    store = ObjectStore(
        Journal(arguments.dir / "journal"), variables.aws_access_key_id, variables.aws_secret_access_key
    )
    print(f"stand-in: {store.replay()} changes made again", flush=True)
    make_server("0.0.0.0", PORT, store, threaded=True, request_handler=_Quiet).serve_forever()  # noqa: S104


class ObjectStore:
    """A WSGI application: moto behind a check of the signature and in front of a journal."""

    def __init__(self, journal: Journal, key_id: str, secret: str) -> None:
        self._journal = journal
        self._account = (key_id, secret)
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._one_change = Lock()

    def replay(self) -> int:
        """Make every change of the journal again, and return how many there were."""
        number = 0
        for change in self._journal.changes():
            self._ask(change.environ, change.body)
            stored = _object(change.environ)
            if stored and change.etag:
                stored._etag = change.etag
                stored.last_modified = datetime.fromisoformat(change.modified)
            number += 1
        return number

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return self._answer(environ)(environ, start_response)

    def _answer(self, environ: dict[str, Any]) -> Response:
        if environ["PATH_INFO"] == "/healthz":
            return Response("ok")
        code = refusal(environ, *self._account) if any(self._account) else None
        if code:
            return Response(f"<Error><Code>{code}</Code><Message>{code}</Message></Error>", 403, mimetype="text/xml")
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        asked = {name: value for name, value in environ.items() if isinstance(value, str)}
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self._ask(asked, body)
        if disk_usage(self._journal.file).free < MIN_FREE + len(body):
            said = "We encountered an internal error, please try again."
            return Response(
                f"<Error><Code>InternalError</Code><Message>{said}</Message></Error>", 500, mimetype="text/xml"
            )
        with self._one_change:
            answer = self._ask(asked, body)
            if answer.status_code < 300:
                self._keep(asked, body)
            return answer

    def _keep(self, asked: dict[str, str], body: bytes) -> None:
        query = parse_qs(asked.get("QUERY_STRING", ""), keep_blank_values=True)
        completes = asked["REQUEST_METHOD"] == "POST" and "uploadId" in query
        if "uploads" in query or ("uploadId" in query and not completes):
            return
        stored = _object(asked)
        if completes and stored:
            body = stored.value
            asked = _put_at_once(asked, stored, len(body))
        etag, modified = (stored.etag.strip('"'), stored.last_modified.isoformat()) if stored else ("", "")
        self._journal.append(Change(asked, body, etag, modified))

    def _ask(self, asked: dict[str, str], body: bytes) -> Response:
        environ = {
            **asked,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        return Response(*run_wsgi_app(self._moto, environ))


class _Quiet(MotoRequestHandler):
    def log_request(self, *_: object) -> None:
        """The log is for what goes wrong."""


def _object(asked: dict[str, str]) -> FakeKey | None:
    bucket, _, key = unquote(asked["RAW_URI"].partition("?")[0]).lstrip("/").partition("/")
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    return backend.get_object(bucket, key) if key and bucket in backend.buckets else None


def _put_at_once(asked: dict[str, str], stored: FakeKey, length: int) -> dict[str, str]:
    path = asked["RAW_URI"].partition("?")[0]
    metadata = {f"HTTP_X_AMZ_META_{name.upper().replace('-', '_')}": value for name, value in stored.metadata.items()}
    kept = {name: value for name, value in asked.items() if not name.startswith(("HTTP_X_AMZ", "CONTENT_"))}
    return {
        **kept,
        **metadata,
        "REQUEST_METHOD": "PUT",
        "QUERY_STRING": "",
        "RAW_URI": path,
        "REQUEST_URI": path,
        "CONTENT_LENGTH": str(length),
    }


if __name__ == "__main__":
    main()
