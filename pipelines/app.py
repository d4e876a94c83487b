"""The HTTP application of pipelines: built services go in, a FastAPI app comes out; errors have one shape."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI, Request

from pipelines import __version__
from pipelines.answer.gateway import gateway_api
from pipelines.answer.generate.router_api import router_api
from pipelines.answer.identity import same_secret
from pipelines.answer.retrieve_api import retrieve_api
from pipelines.bootstrap import Services
from pipelines.error_responses import add_error_handlers
from pipelines.errors import Unauthorized
from pipelines.ingest.documents_api import documents_api
from pipelines.ingest.index_api import index_api
from pipelines.ingest.open_webui_api import OpenWebUIUploads, open_webui_api

INTERNAL_KEY_HEADER = "x-ragline-key"


def create_app(services: Services) -> FastAPI:
    """Put the routes over `services`; nothing connects here."""
    documents = services.documents
    authorize = internal_key(services.settings.internal_api_key.get_secret_value())
    app = FastAPI(title="Ragline pipelines", version=__version__, docs_url=None, redoc_url=None)
    app.include_router(gateway_api(services.gateway))
    app.include_router(retrieve_api(services.retriever, authorize, services.gateway.limits, services.retrievals))
    app.include_router(router_api(services.router, authorize, answers=services.answers, departures=services.departures))
    app.include_router(documents_api(documents.library, authorize, services.settings.max_document_mb))
    uploads = OpenWebUIUploads(documents.library, services.gateway.identity, services.settings.max_document_mb)
    app.include_router(open_webui_api(uploads))
    app.include_router(index_api(documents.reindex, documents.generations, authorize))
    app.add_api_route("/health", _health(services), methods=["GET"], tags=["operation"])
    add_error_handlers(app)
    return app


def internal_key(key: str) -> Callable[[Request], None]:
    """A check that raises `Unauthorized` for a caller who does not show this key."""

    def authorize(request: Request) -> None:
        given = request.headers.get(INTERNAL_KEY_HEADER, "")
        if not given:
            given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not same_secret(given, key):
            raise Unauthorized("This route is for the parts of Ragline only; it needs the internal key.")

    return authorize


def _health(services: Services) -> Callable[[], dict[str, object]]:
    def health() -> dict[str, object]:
        return {"status": "ok", "version": __version__, "chunks": services.documents.generations.live.index.count()}

    return health
