"""The web side of ingestion: the real routes over an `Ingestion`, as pipelines puts them together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from pipelines.app import internal_key
from pipelines.error_responses import add_error_handlers
from pipelines.ingest.documents_api import documents_api
from pipelines.ingest.index_api import index_api
from tests.unit.ingest.ingestion import Ingestion

KEY = "internal-key-0001"
HEADERS = {"x-ragline-key": KEY}
MAX_MB = 1


def app_over(ingestion: Ingestion) -> FastAPI:
    app = FastAPI()
    authorize = internal_key(KEY)
    app.include_router(documents_api(ingestion.library, authorize, MAX_MB))
    app.include_router(index_api(ingestion.reindex, ingestion.generations, authorize))
    add_error_handlers(app)
    return app


@asynccontextmanager
async def asking(app: FastAPI, *, headers: dict[str, str] = HEADERS) -> AsyncIterator[httpx.AsyncClient]:
    # What fails in the app is answered, as uvicorn does, and not raised here.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://pipelines", headers=headers) as client:
        yield client
