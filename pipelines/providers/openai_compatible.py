"""Any server that speaks OpenAI's chat API (vLLM, LiteLLM, llama.cpp) through OpenAI's own client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx2
import openai
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from pipelines.domain import Message
from pipelines.errors import Busy, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers.base import ChatDelta, ChatProvider, GenerateOptions
from pipelines.providers.context_limits import context_too_long, says_too_long
from pipelines.providers.openai_lines import ChatLines

if TYPE_CHECKING:
    from openai import AsyncStream
    from openai._response import AsyncAPIResponse, AsyncResponseContextManager
    from openai.types.chat import ChatCompletionChunk

VENDOR_ERRORS = (openai.OpenAIError, httpx2.HTTPError, ValueError, LookupError, AttributeError, TypeError)
"""What the client and its responses raise. The last four are an event that is not JSON or not a chunk."""

KEPT_CONNECTIONS = 32
DRAIN_S = 0.1
"""For what follows the end of an answer, which is the end of the response."""


class OpenAICompatibleProvider(ChatProvider):
    """Models of one OpenAI-compatible server."""

    name = "openai"

    def __init__(self, base_url: str, *, api_key: str = "", connect_timeout_s: float = 5) -> None:
        self._base_url = base_url
        self._connect_timeout_s = connect_timeout_s
        self._context_tokens: dict[str, int] = {}
        self._listed = False
        self._client = AsyncOpenAI(
            base_url=base_url,
            # The client insists on a key; a local vLLM has none.
            api_key=api_key or "none",
            # How long a model may be silent, and what is tried after it, is the router's to say.
            timeout=openai.Timeout(None, connect=connect_timeout_s),
            max_retries=0,
            http_client=DefaultAsyncHttpxClient(
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=KEPT_CONNECTIONS)
            ),
        )

    async def stream(
        self, model: str, messages: Sequence[Message], *, options: GenerateOptions
    ) -> AsyncGenerator[ChatDelta, None]:
        answer = ChatLines(f"The server at {self._base_url}", model)
        accepted = False
        try:
            async with self._open(model, messages, options) as response:
                accepted = True
                async for part in _until_done(response.http_response.aiter_bytes(), answer):
                    for delta in answer.text(part):
                        yield delta
            for delta in answer.end():
                yield delta
        except VENDOR_ERRORS as error:
            raise translated(error, model, self._base_url, answering=accepted) from error
        yield answer.finish()

    async def check(self, model: str = "") -> None:
        names = await self.models()
        if model and model not in names:
            raise UnknownModel(f"The server at {self._base_url} does not have the model {model}.")

    async def models(self) -> Sequence[str]:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                found = [model async for model in self._client.models.list()]
        except (*VENDOR_ERRORS, TimeoutError) as error:
            raise _unavailable(error, self._base_url) from error
        # vLLM says it beside what OpenAI's API has.
        limits = {model.id: (model.model_extra or {}).get("max_model_len") for model in found}
        self._context_tokens = {name: limit for name, limit in limits.items() if isinstance(limit, int)}
        return [model.id for model in found]

    async def context_tokens(self, model: str) -> int | None:
        if model not in self._context_tokens and not self._listed:
            self._listed = True
            with suppress(ModelUnavailable):
                await self.models()
        return self._context_tokens.get(model)

    async def close(self) -> None:
        await self._client.close()

    def _open(
        self, model: str, messages: Sequence[Message], options: GenerateOptions
    ) -> AsyncResponseContextManager[AsyncAPIResponse[AsyncStream[ChatCompletionChunk]]]:
        body: Any = [{"role": message.role, "content": message.content} for message in messages]
        # Its bytes, for the client's objects of 50 chunks take 6 ms to make and their JSON 1.6 (openai 3.52). Not its
        # lines: those end at characters that a model may write, such as U+2028 (httpx2 2.16).
        return self._client.chat.completions.with_streaming_response.create(
            model=model,
            messages=body,
            stream=True,
            stream_options={"include_usage": True},
            temperature=openai.omit if options.temperature is None else options.temperature,
            max_tokens=openai.omit if options.max_tokens is None else options.max_tokens,
        )


async def _until_done(parts: AsyncIterator[bytes], answer: ChatLines) -> AsyncIterator[bytes]:
    """The parts of an answer; once it is whole the rest is read away, for only then is the connection used again."""
    async for part in parts:
        yield part
        if answer.ended:
            break
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            async for _ in parts:
                pass


def translated(error: Exception, model: str, base_url: str, *, answering: bool) -> RaglineError:
    """What one of `VENDOR_ERRORS` means, raised by a chat with `model` that had begun to answer or not."""
    if isinstance(error, openai.APIStatusError):
        return _from_status(error, model, base_url)
    if isinstance(error, openai.APIError) and not answering and _is_too_long(error):
        return context_too_long(model, error.message)
    if isinstance(error, openai.APIConnectionError) and not answering:
        return _unavailable(error, base_url)
    if isinstance(error, openai.APIConnectionError | httpx2.HTTPError):
        return ModelFailed(f"The connection to {base_url} broke while {model} was answering.")
    if isinstance(error, openai.APIError):
        return ModelFailed(f"The server at {base_url} failed to run {model}: {error.message.rstrip('.')}.")
    return ModelFailed(f"The server at {base_url} sent something for {model} that is not OpenAI's protocol.")


def _from_status(error: openai.APIStatusError, model: str, base_url: str) -> RaglineError:
    match error.status_code:
        case 404:
            return UnknownModel(f"The server at {base_url} does not have the model {model}.")
        case 429:
            return Busy(f"The server at {base_url} is busy; try again.", retry_after=_retry_after(error))
        case 400 | 413 | 422 if _is_too_long(error):
            return context_too_long(model, error.message)
        case 401 | 403 | 502 | 503 | 504:
            return _unavailable(error, base_url)
        case status:
            return ModelFailed(f"The server at {base_url} answered {status} for {model}: {error.message.rstrip('.')}.")


def _is_too_long(error: openai.APIError) -> bool:
    return error.code == "context_length_exceeded" or says_too_long(error.message)


def _unavailable(error: Exception, base_url: str) -> ModelUnavailable:
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        return ModelUnavailable(f"The server at {base_url} refuses the key; set OPENAI_API_KEY.")
    return ModelUnavailable(
        f"The server at {base_url} does not answer; start it or set OPENAI_BASE_URL.",
        # A gateway that answers may miss one of its models only.
        whole_provider=not isinstance(error, openai.APIStatusError),
    )


def _retry_after(error: openai.APIStatusError) -> float | None:
    value = error.response.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None
