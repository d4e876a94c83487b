"""Runs the answering workflow in n8n: a question goes in, its events come out as n8n produces them.

n8n streams one JSON object per line. What the gateway makes of a line depends on the node that sent it: nodes named
`Send …` send structured events (citations, a status), every other streaming node's text is the answer.

n8n's stream needs care (n8n 2.40.7, see `DECISIONS.md`): an error is a chunk inside a 200; a cancelled or timed-out
execution leaves the stream open for ever; closing the connection does not stop the execution. So this module treats
an error chunk as the end, holds an idle limit, and stops the execution through the API when the reader is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from pipelines.answer.departures import Departures
from pipelines.errors import DeadlineExceeded, RaglineError, WorkflowFailed, WorkflowUnavailable

EVENT_NODE_PREFIX = "Send "
MAX_LINE_BYTES = 8 * 1024 * 1024
_STOP_PATIENCE_S = 35
STARTING_UP = b"n8n is starting up"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkflowText:
    """Text of the answer, as the model node produced it."""

    text: str


@dataclass(frozen=True, slots=True)
class WorkflowItem:
    """What a `Send …` node sent."""

    node: str
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class WorkflowStarted:
    """n8n has accepted the question."""


WorkflowEvent = WorkflowStarted | WorkflowText | WorkflowItem


@dataclass(slots=True)
class StreamParser:
    """Turns n8n's bytes into events, however the network cut them.

    Lines are split as bytes, so a character cut in two is whole again before it is decoded, and braces or escaped
    newlines inside a string are left to the JSON parser.
    """

    _buffer: bytearray = field(default_factory=bytearray)
    _open: set[str] = field(default_factory=set)
    _answered: bool = False
    execution_id: str | None = None

    def feed(self, data: bytes) -> Iterator[WorkflowEvent]:
        """Yield the events that are complete with `data`; raises `WorkflowFailed` on an error chunk or broken JSON."""
        if b"\n" not in data:
            self._hold(data)
            return
        head, *lines, tail = data.split(b"\n")
        first = bytes(self._buffer) + head
        self._buffer.clear()
        self._hold(tail)
        for line in (first, *lines):
            yield from self._line(line)

    def finish(self) -> Iterator[WorkflowEvent]:
        """Yield what was left without a line end; raises `WorkflowFailed` when the answer is not whole."""
        line = bytes(self._buffer)
        self._buffer.clear()
        yield from self._line(line)
        if not self._answered or self._open:
            raise WorkflowFailed("The workflow ended before the answer was whole; ask again.")

    def _hold(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > MAX_LINE_BYTES:
            raise WorkflowFailed(f"The workflow sent a single piece of more than {MAX_LINE_BYTES} bytes.")

    def _line(self, line: bytes) -> Iterator[WorkflowEvent]:
        if not line.strip():
            return
        if line.startswith(STARTING_UP):  # n8n says this with status 200 on every route while it migrates its database
            raise WorkflowUnavailable("n8n is still starting; ask again in a few seconds.", retry_after=5)
        try:
            chunk = orjson.loads(line)
            kind = chunk["type"]
            node = chunk.get("metadata", {}).get("nodeName", "")
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise WorkflowFailed("The workflow sent something that is not n8n's stream; check its webhook.") from error
        if kind == "item":
            yield from self._item(node, chunk.get("content") or "")
        elif kind == "error":
            raise WorkflowFailed(_failure(node, chunk.get("content")))
        elif not node.startswith(EVENT_NODE_PREFIX):
            self._mark(kind, node)

    def _item(self, node: str, content: str) -> Iterator[WorkflowEvent]:
        if not node.startswith(EVENT_NODE_PREFIX):
            if content:
                yield WorkflowText(content)
            return
        try:
            item = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise WorkflowFailed(f"The node '{node}' of the workflow must send JSON.") from error
        if not isinstance(item, dict):
            raise WorkflowFailed(f"The node '{node}' of the workflow must send a JSON object.")
        if item.get("execution_id"):
            self.execution_id = str(item["execution_id"])
        yield WorkflowItem(node, item)

    def _mark(self, kind: str, node: str) -> None:
        if kind == "begin":
            self._open.add(node)
        elif kind == "end":
            self._open.discard(node)
            self._answered = True


def _failure(node: str, content: object) -> str:
    where = f" at its step '{node}'" if node else ""
    why = f": {content}" if isinstance(content, str) and content.strip() else ""
    return f"The workflow failed{where}{why}".rstrip(".") + "."


class WorkflowClient:
    """Calls one n8n webhook. Use it as an async context manager; it keeps connections open between questions."""

    def __init__(
        self,
        url: str,
        *,
        path: str,
        key: str,
        api_key_file: Path | None,
        idle_timeout_s: float,
        connect_timeout_s: float = 5,
        api_url: str = "",
        departures: Departures | None = None,
    ) -> None:
        """`url` is where webhooks are called, `api_url` where runs are stopped, if n8n itself is elsewhere.

        A turn that is given up is written down in `departures` too.
        """
        self._webhook = f"{url.rstrip('/')}/webhook/{path}"
        self._api_url = (api_url or url).rstrip("/")
        self._key = key
        self._api_key_file = api_key_file
        self._departures = departures
        # sock_read is the idle limit: n8n sends a keepalive every 30 s for as long as the execution lives.
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s, sock_read=idle_timeout_s)
        self._session: aiohttp.ClientSession | None = None
        self._stops: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> WorkflowClient:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
        self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout, auto_decompress=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._stops:
            await asyncio.wait(self._stops, timeout=2)
        if self._session:
            await self._session.close()

    async def run(self, body: dict[str, Any], *, request_id: str) -> AsyncGenerator[WorkflowEvent, None]:
        """Start the workflow and yield its events; returns only when the answer was whole.

        Closing the iterator early stops the execution in n8n.

        Raises:
            WorkflowUnavailable: n8n does not answer, is starting, or broke off.
            WorkflowFailed: the workflow is missing or not published, refused the key, or one of its nodes failed.
            DeadlineExceeded: it fell silent for longer than the idle limit.
        """
        whole = False
        parser = StreamParser()
        try:
            response = await self._post(body, request_id)
            try:
                yield WorkflowStarted()
                async for data in response.content.iter_any():
                    for event in parser.feed(data):
                        yield event
                for event in parser.finish():
                    yield event
                whole = True
            finally:
                if whole:
                    response.release()
                else:
                    self._abandon(response, parser, request_id)
        except TimeoutError as error:
            raise DeadlineExceeded("The workflow fell silent and was stopped; ask again.") from error
        except aiohttp.ClientConnectorError as error:
            raise WorkflowUnavailable(
                "n8n, which runs the answering workflow, is not reachable; ask again in a moment.", retry_after=5
            ) from error
        except aiohttp.ClientError as error:
            raise WorkflowUnavailable(
                "The connection to n8n broke before the answer was whole; ask again in a moment.", retry_after=5
            ) from error

    async def _post(self, body: dict[str, Any], request_id: str) -> aiohttp.ClientResponse:
        headers = {
            "Content-Type": "application/json",
            "X-Ragline-Key": self._key,
            "X-Request-Id": request_id,
            # n8n compresses and flushes every chunk when it may, at a fifth of its CPU.
            "Accept-Encoding": "identity",
        }
        response = await self._http().post(self._webhook, data=orjson.dumps(body), headers=headers)
        if response.status != 200:
            response.close()
            raise _refusal(response.status)
        return response

    def _http(self) -> aiohttp.ClientSession:
        assert self._session is not None, "use WorkflowClient as a context manager"
        return self._session

    def _abandon(self, response: aiohttp.ClientResponse, parser: StreamParser, request_id: str) -> None:
        # In a task of its own: the caller is being cancelled and must not wait for n8n.
        task = asyncio.get_running_loop().create_task(self._stop(response, parser, request_id))
        self._stops.add(task)
        task.add_done_callback(self._stops.discard)

    async def _stop(self, response: aiohttp.ClientResponse, parser: StreamParser, request_id: str) -> None:
        try:
            if self._departures:
                await self._departures.note(request_id)
            execution = parser.execution_id or await _read_execution_id(response, parser)
            if not (execution and self._api_key_file):
                return
            key = self._api_key_file.read_text().strip()
            url = f"{self._api_url}/api/v1/executions/{execution}/stop"
            async with self._http().post(url, headers={"X-N8N-API-KEY": key}) as stopped:
                # 404 and 409: it had ended by itself.
                if stopped.status not in (200, 404, 409):
                    logger.warning("n8n refused to stop execution %s: status %s", execution, stopped.status)
        except (RaglineError, aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.warning("could not stop an execution: %s", error)
        finally:
            response.close()


async def _read_execution_id(response: aiohttp.ClientResponse, parser: StreamParser) -> str | None:
    # The reader left before the workflow had said which execution this is: it says so with the citations.
    async with asyncio.timeout(_STOP_PATIENCE_S):
        async for data in response.content.iter_any():
            for _ in parser.feed(data):
                if parser.execution_id:
                    return parser.execution_id
    return None


def _refusal(status: int) -> WorkflowFailed | WorkflowUnavailable:
    if status == 404:
        return WorkflowFailed(
            "The answering workflow is not published in n8n: publish it there, or provision it again "
            "(`ragline provision`)."
        )
    if status == 403:
        return WorkflowFailed("n8n refused the webhook key: provision its credentials again (`ragline provision`).")
    if status in (502, 503, 504):
        return WorkflowUnavailable("n8n is not ready; ask again in a moment.", retry_after=5)
    return WorkflowFailed(f"n8n answered the webhook with status {status}.")
