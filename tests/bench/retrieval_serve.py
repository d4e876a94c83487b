"""The measured server: an index in, `POST /retrieve` on a free port out, as pipelines serves it.

The route, the retriever, the index and the embedding model are the product's, with its settings. What is left out of
the application is what `/retrieve` does not touch: the registry of documents, the gateway and the workflow. Two more
routes stand beside it: `/nothing`, which is HTTP with nothing behind it, and `/alone`.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from pipelines.answer.read_request import Limits
from pipelines.answer.retrieve import Retriever
from pipelines.answer.retrieve_api import retrieve_api
from pipelines.bootstrap_documents import ingest_path, load_configured_embedding, recipe
from pipelines.domain import Question, User
from pipelines.error_responses import add_error_handlers
from pipelines.evaluate.build_index import open_folder_index
from pipelines.serve import SWITCH_S
from pipelines.settings import Settings
from tests.bench.retrieval_index import bench_settings, build_index, open_index
from tests.bench.retrieval_results import Alone, Plan


def serve_index(plan: Plan) -> None:
    """Say the port on stdout, then serve until the process is ended."""
    settings = bench_settings(plan.state)
    embedding = load_configured_embedding(settings)
    generations = open_index(Path(build_index(plan).folder), settings, embedding)
    serve_app(_app(Retriever(generations, limit=settings.retrieve_limit), settings))


def serve_reports(plan: Plan) -> None:
    """The same with an index of the planned folder; says the name of every document by its id, too."""
    settings = bench_settings(plan.state)
    embedding = load_configured_embedding(settings)
    with open_folder_index(
        Path(plan.documents),
        kept_in=Path(plan.state) / "bench" / "retrieval-reports",
        embedding=embedding,
        recipe=recipe(embedding),
        path=lambda: ingest_path(settings, os.cpu_count() or 1),
    ) as index:
        names = {document.id: document.key for document in index.documents}
        serve_app(_app(Retriever(index, limit=settings.retrieve_limit), settings), documents=names)


def serve_app(app: FastAPI, **ready: Any) -> None:
    """Serve with the settings of `pipelines.serve`, on a free port, which is told on stdout with what is `ready`."""
    # Named TCP, as the sockets are that a server opens by its address: else the loop leaves Nagle's algorithm on.
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # from here on connections wait
        print(json.dumps({"port": listening.getsockname()[1], **ready}), flush=True)
        config = uvicorn.Config(app, log_config=None, access_log=False, proxy_headers=False, lifespan="off")
        sys.setswitchinterval(SWITCH_S)
        uvloop.run(uvicorn.Server(config).serve(sockets=[listening]))


def _app(retriever: Retriever, settings: Settings) -> FastAPI:
    limits = Limits(settings.max_request_kb * 1024, settings.max_question_chars, settings.history_turns)
    app = FastAPI(docs_url=None, redoc_url=None)
    app.include_router(retrieve_api(retriever, lambda _: None, limits))
    app.add_route("/nothing", _nothing, methods=["POST"])
    app.add_route("/alone", _alone(retriever), methods=["POST"])
    add_error_handlers(app)
    return app


async def _nothing(request: Request) -> Response:
    await request.body()
    return Response(b"x" * int(request.query_params["bytes"]))


def _alone(retriever: Retriever) -> Callable[[Request], Awaitable[Response]]:
    async def alone(request: Request) -> Response:
        questions = [_question(body) for body in json.loads(await request.body())]
        return JSONResponse(asdict(await measure_alone(retriever, questions)))

    return alone


def _question(body: dict[str, Any]) -> Question:
    return Question(body["question"], User(body["user"]["id"], tuple(body["user"]["groups"])))


async def measure_alone(retriever: Retriever, questions: list[Question]) -> Alone:
    """Note what retrieval asks of the model and of the index for each question, then ask it again and nothing else."""
    live = retriever.generations.live
    calls: list[list[_Call]] = []
    watched = [("embed", live.embedding, "embed"), ("index", live.index, "search"), ("index", live.index, "read")]
    for part, owner, name in watched:
        setattr(owner, name, _noted(part, getattr(owner, name), calls))
    for question in questions:
        calls.append([])
        await retriever.retrieve(question)
    for _, owner, name in watched:
        delattr(owner, name)
    spent = await asyncio.to_thread(lambda: [_ask_again(of_one) for of_one in calls])
    return Alone([each["embed"] for each in spent], [each["index"] for each in spent])


_Call = tuple[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def _noted(part: str, original: Callable[..., Any], calls: list[list[_Call]]) -> Callable[..., Any]:
    def noted(*args: Any, **kwargs: Any) -> Any:
        calls[-1].append((part, original, args, kwargs))
        return original(*args, **kwargs)

    return noted


def _ask_again(calls: list[_Call]) -> dict[str, float]:
    ms = {"embed": 0.0, "index": 0.0}
    for part, original, args, kwargs in calls:
        began = time.perf_counter()
        original(*args, **kwargs)
        ms[part] += (time.perf_counter() - began) * 1000
    return ms
