"""Who answers while answers are checked: retrieval with a model, in this process, or a gateway that is running."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from pipelines.answer.retrieve import Retriever
from pipelines.domain import Citation, Message, Question
from pipelines.errors import Busy, DeadlineExceeded, InvalidRequest, ModelFailed, Unauthorized, Unavailable
from pipelines.evaluate.answer_verdict import CitedPage, GivenAnswer
from pipelines.providers.base import ChatProvider, GenerateOptions, TextDelta

GATEWAY_TIMEOUT_S = 300
OPTIONS = GenerateOptions(temperature=0)
"""The same answer each time, as far as the model can."""
_PAGE = re.compile(r" p\.\d+$")


class Answers(Protocol):
    """Answers a question as a reader would get it."""

    @property
    def knows_groups(self) -> bool:
        """Whether it can be asked as a member of a group."""

    async def answer(self, question: Question) -> GivenAnswer:
        """Return the answer; `problem` is set when this one failed. Raises when none can be had at all."""


@dataclass(frozen=True, slots=True)
class ModelAnswers:
    """The shipped retrieval over an index of its own, then one model. `keys` names documents by their id."""

    retriever: Retriever
    provider: ChatProvider
    model: str
    keys: Mapping[str, str]
    knows_groups: bool = True

    async def answer(self, question: Question) -> GivenAnswer:
        """Raises `UnknownModel` and `ModelUnavailable`, which the next question would meet as well."""
        started = time.perf_counter()
        retrieval = await self.retriever.retrieve(question)
        messages = [Message("system", retrieval.prompt.system), Message("user", retrieval.prompt.text)]
        pages = {citation.number: self._page(citation) for citation in retrieval.citations}
        pieces, problem = [], ""
        try:
            async for delta in self.provider.stream(self.model, messages, options=OPTIONS):
                if isinstance(delta, TextDelta):
                    pieces.append(delta.text)
        except (ModelFailed, Busy, DeadlineExceeded) as error:
            problem = error.message
        return GivenAnswer("".join(pieces).strip(), pages, _ms_since(started), problem)

    def _page(self, citation: Citation) -> CitedPage:
        return CitedPage(self.keys.get(citation.document_id, citation.document_id), citation.page)


class GatewayAnswers:
    """A running gateway, asked as any OpenAI client asks it: it reads what is open to everyone. Close it at the end."""

    knows_groups = False

    def __init__(self, url: str, *, key: str, model: str) -> None:
        self._model = model
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/").removesuffix("/v1"),
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(GATEWAY_TIMEOUT_S, connect=10),
            trust_env=False,
        )

    async def answer(self, question: Question) -> GivenAnswer:
        """Raises `Unauthorized`, `Unavailable` and, for another kind of server, `InvalidRequest`."""
        started = time.perf_counter()
        turns = [*question.history, Message("user", question.text)]
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        try:
            response = await self._http.post("/v1/chat/completions", json={"model": self._model, "messages": messages})
        except httpx.TimeoutException:
            return GivenAnswer("", {}, _ms_since(started), f"no answer in {GATEWAY_TIMEOUT_S} s")
        except httpx.HTTPError as error:
            raise Unavailable(f"The gateway at {self._http.base_url} does not answer: {error}.") from error
        if response.status_code in (401, 403):
            raise Unauthorized("The gateway does not know this key: set CLIENT_API_KEY to the one it was started with.")
        if not response.is_success:
            return GivenAnswer("", {}, _ms_since(started), f"{response.status_code}: {response.text[:200]}")
        try:
            body = response.json()
            text = str(body["choices"][0]["message"]["content"])
            sources = list(body["sources"])
            pages = {number: _page_of(source) for number, source in enumerate(sources, start=1)}
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise InvalidRequest(f"{self._http.base_url} is no gateway of Ragline: it sends no sources.") from error
        return GivenAnswer(text.strip(), pages, _ms_since(started))

    async def close(self) -> None:
        """Release connections."""
        await self._http.aclose()


def _page_of(source: Mapping[str, Any]) -> CitedPage:
    page = source["metadata"][0].get("page") if source["metadata"] else None
    # Counted from 0 in Open WebUI's shape.
    return CitedPage(_PAGE.sub("", str(source["source"]["name"])), None if page is None else int(page) + 1)


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
