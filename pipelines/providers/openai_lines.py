"""The stream of an OpenAI-style chat as bytes, cut anywhere: parts go in, text and its end come out.

Reads server-sent events, as vLLM sends them, and one JSON object per line, as older containers of AWS do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import orjson

from pipelines.domain import Usage
from pipelines.errors import ModelFailed, RaglineError
from pipelines.providers.base import Finish, TextDelta
from pipelines.providers.context_limits import context_too_long, says_too_long

MAX_LINE_BYTES = 1_000_000
"""Of one event. A stream that sends no end of line is none."""

_DONE = b"[DONE]"
_REASONS: dict[str, Literal["stop", "length", "filtered"]] = {"length": "length", "content_filter": "filtered"}


class ChatLines:
    """One answer as it comes in from `server` (as sentences name it), which runs `model`."""

    def __init__(self, server: str, model: str) -> None:
        self._server, self._model = server, model
        self._rest = b""
        self._reason = ""
        self.ended = False
        self._usage: Usage | None = None
        self.begun = False

    def text(self, part: bytes) -> Iterator[TextDelta]:
        """The text in a part and what was left of the one before.

        Raises:
            ContextTooLong, ModelFailed: the server says so in the stream.
            ValueError, LookupError, TypeError, AttributeError: a line is no event.
        """
        *lines, self._rest = (self._rest + part).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise ValueError("a line without an end")
        for line in lines:
            yield from self._of_line(line.strip())

    def end(self) -> Iterator[TextDelta]:
        """The text in what is left when no part comes any more; raises as `text` does."""
        rest, self._rest = self._rest.strip(), b""
        yield from self._of_line(rest)

    def finish(self) -> Finish:
        """The end of the answer; raises `ModelFailed` when it broke off before."""
        if not (self._reason or self.ended):
            raise ModelFailed(f"{self._server} broke off before the end of the answer of {self._model}.")
        return Finish(_REASONS.get(self._reason, "stop"), self._usage)

    def _of_line(self, line: bytes) -> Iterator[TextDelta]:
        if line.startswith(b"data:"):
            line = line[5:].strip()
        elif not line.startswith(b"{"):
            if line and line[:1] != b":" and line.partition(b":")[0] not in (b"event", b"id", b"retry"):
                raise ValueError("a line that is neither an event nor JSON")
            return
        if line == _DONE:
            self.ended = True
        elif line:
            yield from self._of_chunk(orjson.loads(line))

    def _of_chunk(self, chunk: dict[str, Any]) -> Iterator[TextDelta]:
        if chunk.get("error") or chunk.get("object") == "error":
            raise self._failure(message_of(chunk))
        if chunk.get("usage"):
            self._usage = usage_of(chunk["usage"])
        for choice in chunk["choices"][:1]:
            self._reason = choice.get("finish_reason") or self._reason
            text = (choice.get("delta") or choice.get("message") or {}).get("content")
            if text:
                self.begun = True
                yield TextDelta(str(text))

    def _failure(self, said: str) -> RaglineError:
        if says_too_long(said) and not self.begun:
            return context_too_long(self._model, said)
        return ModelFailed(f"{self._server} failed to run {self._model}: {said.rstrip('.')}.")


def message_of(error: dict[str, Any]) -> str:
    """What an error object says, in OpenAI's form, vLLM's older one or the one of AWS' containers."""
    inner = error.get("error") or error
    said = inner.get("message") if isinstance(inner, dict) else inner
    return str(said or "it does not say why")


def usage_of(usage: dict[str, Any]) -> Usage:
    """OpenAI counts what came from the prompt cache among the prompt's tokens, as we do."""
    details = usage.get("prompt_tokens_details") or {}
    return Usage(
        prompt_tokens=int(usage["prompt_tokens"]),
        completion_tokens=int(usage.get("completion_tokens") or 0),
        cache_read_tokens=int(details.get("cached_tokens") or 0),
    )
