"""`qdrant`: the server of tests/fakes on the vendor's port, folder and variables. In a cluster one node keeps all.

qdrant [--uri http://qdrant-1:6335] [--bootstrap http://qdrant-1:6335]
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import uvicorn
from pydantic import Field
from pydantic_settings import BaseSettings
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tests.fakes.qdrant_server import QdrantServer

STORAGE = Path("/qdrant/storage")
PORT = 6333
WAL_CAPACITY = 32 * 2**20
"""As the vendor's default is."""
DISK_FULL = "No space left on device: WAL buffer size exceeds available disk space"
_CHANGE = re.compile("/points/(payload|vectors|delete|batch)|/index$")


class _Variables(BaseSettings):
    api_key: str = Field(default="", validation_alias="QDRANT__SERVICE__API_KEY")


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="qdrant", description=__doc__)
    parser.add_argument("--uri", help="how other nodes reach this one; not used here")
    parser.add_argument("--bootstrap", help="the first node")
    arguments = parser.parse_args()
    if arguments.bootstrap:
        first = f"http://{urlsplit(arguments.bootstrap).hostname}:{PORT}"
        print(f"stand-in: this node keeps nothing and passes everything on to {first}", flush=True)
        _serve(passing_on(first))
        return
    server = QdrantServer(STORAGE, api_key=_Variables().api_key)
    try:
        _serve(refusing_when_full(_with_open_health(server.app())))
    finally:
        server.close()


def passing_on(first: str) -> Starlette:
    """An application that answers with what the node at `first` answers."""
    client = httpx.AsyncClient(base_url=first, timeout=60)

    async def pass_on(request: Request) -> Response:
        try:
            answer = await client.request(
                request.method,
                request.url.path,
                params=request.query_params,
                content=await request.body(),
                headers={name: value for name, value in request.headers.items() if name in ("api-key", "content-type")},
            )
        except httpx.HTTPError as error:
            return PlainTextResponse(f"The first node does not answer: {error}", 503)
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))

    methods = ["GET", "PUT", "POST", "PATCH", "DELETE"]
    return Starlette(routes=[Route("/{path:path}", pass_on, methods=methods)])


def refusing_when_full(app: ASGIApp) -> ASGIApp:
    """Refuse every change once less than the log of changes may take is free, as the vendor's server does."""

    async def refuse(request: Request, go_on: RequestResponseEndpoint) -> Response:
        changes = request.method in ("PUT", "PATCH") or _CHANGE.search(request.url.path)
        if changes and shutil.disk_usage(STORAGE).free < WAL_CAPACITY:
            return JSONResponse({"status": {"error": f"Service internal error: {DISK_FULL}"}, "time": 0.0}, 500)
        return await go_on(request)

    return BaseHTTPMiddleware(app, dispatch=refuse)


def _with_open_health(app: Starlette) -> Starlette:
    """The vendor's server shows its health without a key."""
    for path in ("/healthz", "/readyz", "/livez"):
        app.router.routes.insert(0, Route(path, lambda _: PlainTextResponse("all shards are ready")))
    return app


def _serve(app: ASGIApp) -> None:
    uvicorn.run(app, host="0.0.0.0", port=PORT, log_level="warning", timeout_graceful_shutdown=2)  # noqa: S104


if __name__ == "__main__":
    main()
