"""OpenAI's chat completion format as the model router speaks it: request in, chunks, completions and errors out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

import orjson
from pydantic import BaseModel, Field

from pipelines.answer.generate.model_request import ModelRequest
from pipelines.domain import Message, Usage
from pipelines.errors import RaglineError
from pipelines.providers.base import GenerateOptions

DONE = b"data: [DONE]\n\n"


class TextPart(BaseModel):
    """A piece of a message; LangChain sends text so when it has several."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One message; `developer` is OpenAI's newer word for `system`."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    def to_message(self) -> Message:
        """The message as the rest of the product knows it."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return Message("system" if self.role == "developer" else self.role, text)


class StreamOptions(BaseModel):
    """Whether the stream ends with a usage chunk."""

    include_usage: bool = False


class ChatCompletionRequest(BaseModel):
    """What is read of a request; everything else a client sends is ignored.

    `request_id` and `fresh` are not OpenAI's: the workflow sends them along, so that the gateway finds this call's
    figures and a reader who asks for another answer gets one.
    """

    model: str = "default"
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    user: str = Field(default="", max_length=200)
    request_id: str = Field(default="", max_length=200, pattern=r"^[A-Za-z0-9._:-]*$")
    fresh: bool = False

    def request(self, request_id: str) -> ModelRequest:
        """What the caller asks of the model."""
        return ModelRequest(
            model=self.model,
            messages=tuple(message.to_message() for message in self.messages),
            options=GenerateOptions(self.temperature, self.max_completion_tokens or self.max_tokens),
            request_id=request_id,
            user_id=self.user,
            fresh=self.fresh,
        )


class ChunkLines:
    """Makes the server-sent events of one streamed completion; everything but the text is encoded once."""

    def __init__(self, completion_id: str, model: str) -> None:
        head = orjson.dumps({"id": completion_id, "object": "chat.completion.chunk", "created": int(time.time())})
        self._head = b"data: " + head[:-1] + b',"model":' + orjson.dumps(model)
        self._choice = self._head + b',"choices":[{"index":0,"delta":'
        self._text = self._choice + b'{"content":'

    def role(self) -> bytes:
        """The first chunk."""
        return self._choice + b'{"role":"assistant","content":""},"finish_reason":null}]}\n\n'

    def text(self, text: str) -> bytes:
        """A piece of the answer."""
        return self._text + orjson.dumps(text) + b'},"finish_reason":null}]}\n\n'

    def finish(self, reason: str) -> bytes:
        """The chunk that says why it ended."""
        return self._choice + b'{},"finish_reason":' + orjson.dumps(_reason(reason)) + b"}]}\n\n"

    def usage(self, usage: Mapping[str, Any]) -> bytes:
        """The chunk with the tokens used, and whatever else goes with them."""
        return self._head + b',"choices":[],"usage":' + orjson.dumps(usage) + b"}\n\n"


def completion_body(
    completion_id: str, model: str, text: str, reason: str, usage: Mapping[str, Any] | None
) -> dict[str, Any]:
    """A whole completion."""
    message = {"role": "assistant", "content": text}
    return {
        "id": completion_id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": _reason(reason)}],
        "usage": usage,
    }


def usage_body(usage: Usage) -> dict[str, Any]:
    """OpenAI's `usage`; tokens written into the provider's cache stand beside those read from it, as at OpenRouter."""
    body: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    if usage.cache_read_tokens or usage.cache_write_tokens:
        body["prompt_tokens_details"] = {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        }
    return body


def error_body(error: RaglineError) -> dict[str, Any]:
    """OpenAI's `error`."""
    return {"error": {"message": error.message, "code": error.code, "type": error.kind}}


def error_line(error: RaglineError) -> bytes:
    """The event that ends a stream that did not come out whole; no `[DONE]` follows it."""
    return b"data: " + orjson.dumps(error_body(error)) + b"\n\n"


def _reason(reason: str) -> str:
    return "content_filter" if reason == "filtered" else reason
