"""A stand-in for the Qdrant server: the REST protocol of 1.19 as `qdrant-client` 1.20 speaks it, over the real engine.

    python -m tests.fakes.qdrant_server --port 6333 --folder /qdrant/storage

What is kept lies in the folder and is there again after a restart. It is one node without gRPC, aliases or snapshots.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.fakes.qdrant_collections import Collection, Collections
from tests.fakes.qdrant_wire import BadRequest, Json

VERSION = "1.19.0"

Intercept = Callable[[str, str], Response | None]
"""Sees method and path before the server does; what it returns is the answer."""


class QdrantServer:
    """The routes over the collections in `folder`. `intercept` lets a test get between client and server."""

    def __init__(self, folder: Path, *, api_key: str = "", step: int = 512) -> None:
        self.intercept: Intercept | None = None
        self.url = ""
        self._key = api_key
        self._collections = Collections(folder, step=step)

    def app(self) -> Starlette:
        collection = "/collections/{name}"
        routes = [
            Route("/", self._answering(self._root)),
            *(Route(path, lambda _: PlainTextResponse("ok")) for path in ("/healthz", "/readyz", "/livez")),
            Route("/collections", self._answering(self._list)),
            Route(collection, self._answering(self._info), methods=["GET"]),
            Route(collection, self._answering(self._create), methods=["PUT"]),
            Route(collection, self._answering(self._delete), methods=["DELETE"]),
            Route(f"{collection}/exists", self._answering(self._exists)),
            self._of_points(f"{collection}/index", Collection.create_index, "PUT"),
            self._of_points(f"{collection}/points", Collection.upsert, "PUT"),
            self._of_points(f"{collection}/points", Collection.retrieve),
            self._of_points(f"{collection}/points/payload", Collection.set_payload),
            self._of_points(f"{collection}/points/delete", Collection.delete),
            self._of_points(f"{collection}/points/count", Collection.count),
            self._of_points(f"{collection}/points/scroll", Collection.scroll),
            self._of_points(f"{collection}/points/query", Collection.query),
        ]
        return Starlette(routes=routes)

    def body_of(self, name: str) -> Json:
        """What a collection was made with."""
        collection = self._collections.get(name)
        assert collection is not None
        return collection.body

    def close(self) -> None:
        self._collections.close()

    def _of_points(
        self, path: str, operate: Callable[[Collection, Json], Awaitable[Any]], method: str = "POST"
    ) -> Route:
        async def endpoint(request: Request) -> Response:
            collection = self._collections.get(request.path_params["name"])
            if collection is None:
                return _missing(request)
            return _ok(await operate(collection, orjson.loads(await request.body())))

        return Route(path, self._answering(endpoint), methods=[method])

    def _answering(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            if self._key and request.headers.get("api-key") != self._key:
                return PlainTextResponse("Must provide an API key or an Authorization bearer token", 401)
            instead = self.intercept and self.intercept(request.method, request.url.path)
            if instead:
                return instead
            try:
                return await endpoint(request)
            except BadRequest as error:
                return _refusal(400, f"Bad request: {error}")
            except Exception as error:  # noqa: BLE001  everything the engine raises is a bare Exception
                return _refusal(400, f"Wrong input: {error}")

        return answer

    async def _root(self, _request: Request) -> Response:
        return _json({"title": "qdrant - vector search engine", "version": VERSION})

    async def _list(self, _request: Request) -> Response:
        return _ok({"collections": [{"name": name} for name in self._collections.names()]})

    async def _info(self, request: Request) -> Response:
        collection = self._collections.get(request.path_params["name"])
        return _ok(collection.info()) if collection else _missing(request)

    async def _exists(self, request: Request) -> Response:
        return _ok({"exists": self._collections.get(request.path_params["name"]) is not None})

    async def _create(self, request: Request) -> Response:
        name = request.path_params["name"]
        if self._collections.create(name, orjson.loads(await request.body())):
            return _ok(True)
        return _refusal(409, f"Wrong input: Collection `{name}` already exists!")

    async def _delete(self, request: Request) -> Response:
        return _ok(self._collections.delete(request.path_params["name"]))


@contextmanager
def running_qdrant(folder: Path, *, port: int = 0, api_key: str = "", step: int = 512) -> Iterator[QdrantServer]:
    """Serve in a thread of its own, on a free port unless one is given; `url` says where."""
    served = QdrantServer(folder, api_key=api_key, step=step)
    config = uvicorn.Config(served.app(), port=port, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    served.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        server.should_exit = True
        thread.join()
        served.close()


def _ok(result: Any) -> Response:
    return _json({"result": result, "status": "ok", "time": 0.0})


def _missing(request: Request) -> Response:
    return _refusal(404, f"Not found: Collection `{request.path_params['name']}` doesn't exist!")


def _refusal(status: int, message: str) -> Response:
    return _json({"status": {"error": message}, "time": 0.0}, status)


def _json(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.qdrant_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6333)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--api-key", default="")
    arguments = parser.parse_args()
    served = QdrantServer(arguments.folder, api_key=arguments.api_key)
    try:
        uvicorn.run(served.app(), host=arguments.host, port=arguments.port, log_level="warning", lifespan="off")
    finally:
        served.close()


if __name__ == "__main__":
    main()
