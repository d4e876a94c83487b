"""The HTTP application of pipelines: built services go in, a FastAPI app comes out; errors have one shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from pipelines import __version__
from pipelines.answer.gateway import gateway_api
from pipelines.answer.identity import same_secret
from pipelines.answer.retrieve_api import retrieve_api
from pipelines.answer.router_api import router_api
from pipelines.bootstrap import Services
from pipelines.errors import InvalidRequest, RaglineError, Unauthorized
from pipelines.ingest.documents_api import documents_api

INTERNAL_KEY_HEADER = "x-ragline-key"


def create_app(services: Services) -> FastAPI:
    """Put the routes over `services`; nothing connects here."""
    authorize = _internal(services.settings.internal_api_key.get_secret_value())
    app = FastAPI(title="Ragline pipelines", version=__version__, docs_url=None, redoc_url=None)
    app.include_router(gateway_api(services.gateway))
    app.include_router(retrieve_api(services.retriever, authorize, services.gateway.limits))
    app.include_router(router_api(services.router, authorize))
    app.include_router(documents_api(services.library, authorize, services.settings.max_document_mb))
    app.add_api_route("/health", _health(services), methods=["GET"], tags=["operation"])
    add_error_handlers(app)
    return app


def add_error_handlers(app: FastAPI) -> None:
    """Answer every error in the shape of OpenAI's API."""
    app.add_exception_handler(RaglineError, _ragline_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(Exception, _unexpected_error)


def error_response(error: RaglineError) -> JSONResponse:
    """An error as every client of OpenAI's API reads it."""
    headers = {"Retry-After": str(math.ceil(error.retry_after))} if error.retry_after else None
    body = {"error": {"message": error.message, "code": error.code, "type": error.kind}}
    return JSONResponse(body, status_code=error.status, headers=headers)


def _internal(key: str) -> Callable[[Request], None]:
    def authorize(request: Request) -> None:
        given = request.headers.get(INTERNAL_KEY_HEADER, "")
        if not given:
            given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not same_secret(given, key):
            raise Unauthorized("This route is for the parts of Ragline only; it needs the internal key.")

    return authorize


def _health(services: Services) -> Callable[[], dict[str, object]]:
    def health() -> dict[str, object]:
        return {"status": "ok", "version": __version__, "chunks": services.index.count()}

    return health


async def _ragline_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RaglineError)
    return error_response(error)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    body = {"error": {"message": f"{status.phrase}.", "code": status.name.lower(), "type": "invalid_request_error"}}
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)


async def _validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(step) for step in first["loc"][1:])
    return error_response(InvalidRequest(f"The field '{place}' is wrong: {first['msg']}."))


async def _unexpected_error(_: Request, error: Exception) -> Response:
    return error_response(RaglineError("Something went wrong here; the log has the details."))
