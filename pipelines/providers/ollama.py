"""Ollama through its own client: messages go in, the model's text comes out as it is produced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, cast

import httpx
from ollama import AsyncClient, ChatResponse, ListResponse, ResponseError

from pipelines.domain import Message, Usage
from pipelines.errors import Busy, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers.base import ChatDelta, ChatProvider, Finish, GenerateOptions, TextDelta
from pipelines.providers.context_limits import context_too_long, says_too_long

BUSY_RETRY_S = 2.0
"""Ollama does not say when to come back; its queue moves on with every answer."""

VENDOR_ERRORS = (ResponseError, ConnectionError, httpx.HTTPError, ValueError, AttributeError, TypeError)
"""What the client raises. The last three are a line that is not JSON, not an object, or not of Ollama's shape
(json.JSONDecodeError and pydantic.ValidationError are ValueErrors)."""


class OllamaProvider(ChatProvider):
    """Models of one Ollama server."""

    name = "ollama"

    def __init__(self, base_url: str, *, context_tokens: int | None = None, connect_timeout_s: float = 5) -> None:
        """`context_tokens` is the room for prompt and answer that Ollama is asked to make; None leaves it to Ollama.

        Ollama cuts a longer prompt without a word, except for some models, for which it refuses it. Servers since
        October 2025 refuse it for all with `truncate: false`, which the client cannot send (ollama 0.6.3):
        https://github.com/ollama/ollama/pull/17944
        """
        self._context_tokens = context_tokens
        self._base_url = base_url
        self._connect_timeout_s = connect_timeout_s
        self._client = AsyncClient(
            host=base_url,
            # How long a model may be silent is the router's to say; it closes the stream.
            timeout=httpx.Timeout(None, connect=connect_timeout_s),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
            # A proxy meant for the internet must not get between us and a server of our own.
            trust_env=False,
        )

    async def stream(
        self, model: str, messages: Sequence[Message], *, options: GenerateOptions
    ) -> AsyncGenerator[ChatDelta, None]:
        try:
            parts = await self._client.chat(
                model,
                [{"role": message.role, "content": message.content} for message in messages],
                stream=True,
                # The reader waits for words: reasoning before the first one can take minutes on a CPU.
                think=False,
                options=self._options(options),
            )
            async with aclosing(cast("AsyncGenerator[ChatResponse, None]", parts)):
                async for part in parts:
                    if part.message.content:
                        yield TextDelta(part.message.content)
                    if part.done:
                        yield _finish(part)
                        return
        except VENDOR_ERRORS as error:
            raise translated(error, model, self._base_url) from error
        raise ModelFailed(f"Ollama broke off before the end of the answer of {model}.")

    async def check(self, model: str = "") -> None:
        listed = await self._list()
        names = {entry.model for entry in listed.models}
        if model and not {model, f"{model}:latest"} & names:
            raise _missing(model)

    async def models(self) -> Sequence[str]:
        listed = await self._list()
        return [entry.model for entry in listed.models if entry.model and not _only_embeds(entry)]

    async def context_tokens(self, model: str) -> int | None:
        return self._context_tokens

    async def close(self) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]  # not annotated in ollama 0.6.3

    def _options(self, options: GenerateOptions) -> dict[str, Any]:
        values = {
            "temperature": options.temperature,
            "num_predict": options.max_tokens,
            "num_ctx": self._context_tokens,
        }
        return {name: value for name, value in values.items() if value is not None}

    async def _list(self) -> ListResponse:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                return await self._client.list()
        except (*VENDOR_ERRORS, TimeoutError) as error:
            raise _unreachable(self._base_url) from error


def translated(error: Exception, model: str, base_url: str) -> RaglineError:
    """What one of `VENDOR_ERRORS` means, raised by a chat with `model` at `base_url`."""
    if isinstance(error, ResponseError):
        return _from_status(error, model)
    # `httpx.ConnectError` when streaming, the builtin otherwise: the client translates only the latter (0.6.3).
    if isinstance(error, ConnectionError | httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return _unreachable(base_url)
    if isinstance(error, httpx.HTTPError):
        return ModelFailed(f"The connection to Ollama broke while {model} was answering.")
    return ModelFailed(f"Ollama sent something for {model} that is not its protocol.")


def _unreachable(base_url: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"Ollama does not answer at {base_url}; start it or set OLLAMA_BASE_URL.", whole_provider=True
    )


def _from_status(error: ResponseError, model: str) -> RaglineError:
    if error.status_code == 404:
        return _missing(model)
    if error.status_code in (429, 503):
        return Busy("Ollama is busy; try again in a moment.", retry_after=BUSY_RETRY_S)
    if error.status_code in (401, 403):
        return ModelUnavailable("Ollama refuses the key; set OLLAMA_API_KEY to one that may use this model.")
    if says_too_long(error.error):
        return context_too_long(model, error.error)
    return ModelFailed(f"Ollama failed to run {model}: {error.error.rstrip('.')}.")


def _missing(model: str) -> UnknownModel:
    return UnknownModel(f"Ollama does not have the model {model}; run `ollama pull {model}`.")


def _finish(part: ChatResponse) -> Finish:
    usage = None
    if part.eval_count is not None:
        # Left out when the whole prompt was in Ollama's cache: https://github.com/ollama/ollama/issues/2068
        usage = Usage(prompt_tokens=part.prompt_eval_count or 0, completion_tokens=part.eval_count)
    return Finish(reason="length" if part.done_reason == "length" else "stop", usage=usage)


def _only_embeds(entry: ListResponse.Model) -> bool:
    # The list does not say what a model can do; embedding models are of BERT's families (bert, nomic-bert).
    return entry.details is not None and "bert" in (entry.details.family or "")
