"""Errors over HTTP: every one, whoever raised it, in the shape that clients of OpenAI's API read."""

from __future__ import annotations

import math
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from pipelines.answer.openai_format import error_body
from pipelines.errors import InvalidRequest, RaglineError


def add_error_handlers(app: FastAPI) -> None:
    """Answer every error in the shape of OpenAI's API."""
    app.add_exception_handler(RaglineError, _ragline_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(Exception, _unexpected_error)


def error_response(error: RaglineError) -> JSONResponse:
    """An error as every client of OpenAI's API reads it."""
    headers = {"Retry-After": str(math.ceil(error.retry_after))} if error.retry_after else None
    return JSONResponse(error_body(error), status_code=error.status, headers=headers)


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
