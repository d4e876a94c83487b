"""A rerank model of Amazon Bedrock: a question and texts go in, their relevance comes out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import isfinite
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from botocore.config import Config

from pipelines.errors import DeadlineExceeded, ModelFailed, RaglineError
from pipelines.providers.base import RerankProvider
from pipelines.providers.bedrock_errors import BedrockCall
from pipelines.stores.aws import AWS_ERRORS, NO_CREDENTIALS

if TYPE_CHECKING:
    from botocore.client import ClientMeta

MAX_SOURCES, MAX_CHARS = 1000, 32_000
"""Of one request: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_Rerank.html"""

_UNFIT = ("model identifier", "model arn", "on-demand throughput", "not supported")
"""What Bedrock calls invalid about the model, rather than about the request."""


class _Client(Protocol):
    """What is used of boto3's client for `bedrock-agent-runtime`."""

    @property
    def meta(self) -> ClientMeta: ...
    def rerank(self, **request: object) -> Mapping[str, Any]: ...
    def close(self) -> None: ...


class BedrockRerank(RerankProvider):
    """One rerank model, with the credentials of AWS' own chain: a task role, a profile, a key."""

    def __init__(
        self,
        model: str,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        parallel: int = 16,
        timeout_s: float,
    ) -> None:
        """`timeout_s` bounds every connection and every read. Without `region` the AWS configuration says it."""
        self.name = f"bedrock/{model}"
        self._model, self._region, self._endpoint_url, self._timeout_s = model, region, endpoint_url, timeout_s
        self._config = Config(
            connect_timeout=timeout_s,
            read_timeout=timeout_s,
            # There is no time for a second try: the passages stay as they are.
            retries={"mode": "standard", "total_max_attempts": 1},
            max_pool_connections=parallel,
        )
        # boto3 has no limit for a whole call, of which looking for credentials is a part: it is waited for here.
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="bedrock-rerank")
        self._lock = Lock()
        self._opened: _Client | None = None

    def rank(self, question: str, texts: Sequence[str], *, timeout_s: float) -> Sequence[float]:
        call = self._threads.submit(self._rank, question, texts, time.monotonic() + timeout_s)
        try:
            return call.result(timeout_s)
        except TimeoutError as error:
            call.cancel()
            raise DeadlineExceeded(f"{self._model} took more than {timeout_s:g} s for the passages.") from error

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            if self._opened:
                self._opened.close()

    def _rank(self, question: str, texts: Sequence[str], deadline: float) -> list[float]:
        scores = [0.0] * len(texts)
        # Bedrock refuses empty texts, and nothing is relevant in them.
        asked = [position for position, text in enumerate(texts) if text.strip() and question.strip()]
        try:
            for start in range(0, len(asked), MAX_SOURCES):
                part = asked[start : start + MAX_SOURCES]
                request = self._request(question, [texts[position] for position in part])
                for index, score in self._results(request, len(part), deadline):
                    scores[part[index]] = score
        except (*AWS_ERRORS, LookupError, TypeError, ValueError) as error:
            raise self._translated(error) from error
        return scores

    def _results(self, request: dict[str, Any], count: int, deadline: float) -> Iterator[tuple[int, float]]:
        """The place and the relevance of each text, from as many pages as Bedrock makes of them."""
        seen: set[int] = set()
        while True:
            answer = self._client().rerank(**request)
            before = len(seen)
            for result in answer["results"]:
                index, score = int(result["index"]), float(result["relevanceScore"])
                if not (isfinite(score) and 0 <= index < count):
                    raise ValueError(f"text {index} of {count} has the relevance {score}")
                seen.add(index)
                yield index, min(max(score, 0.0), 1.0)
            if len(seen) == count:
                return
            if len(seen) == before or not answer.get("nextToken"):
                raise ModelFailed(f"Bedrock judged {len(seen)} of {count} passages with {self._model}.")
            if time.monotonic() >= deadline:
                raise DeadlineExceeded(f"{self._model} took too long for the passages.")
            request = request | {"nextToken": answer["nextToken"]}

    def _request(self, question: str, texts: Sequence[str]) -> dict[str, Any]:
        return {
            "queries": [{"type": "TEXT", "textQuery": {"text": question[:MAX_CHARS]}}],
            "sources": [
                {
                    "type": "INLINE",
                    "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": text[:MAX_CHARS]}},
                }
                for text in texts
            ],
            "rerankingConfiguration": {
                "type": "BEDROCK_RERANKING_MODEL",
                "bedrockRerankingConfiguration": {
                    "numberOfResults": len(texts),
                    "modelConfiguration": {"modelArn": self._arn(self._client())},
                },
            },
        }

    def _client(self) -> _Client:
        """Made with the first question: it looks for credentials, which may ask the network."""
        with self._lock:
            if self._opened is None:
                # Imported here: it takes 0.4 s, which a stack without AWS need not wait for.
                from boto3.session import Session

                session = Session(region_name=self._region)
                self._region = session.region_name
                self._opened = session.client(
                    "bedrock-agent-runtime", endpoint_url=self._endpoint_url, config=self._config
                )
            return self._opened

    def _arn(self, client: _Client | None) -> str:
        if self._model.startswith("arn:"):
            return self._model
        partition = client.meta.partition if client else "aws"
        return f"arn:{partition}:bedrock:{self._region}::foundation-model/{self._model}"

    def _translated(self, error: Exception) -> RaglineError:
        if isinstance(error, NO_CREDENTIALS):
            self._opened = None  # the client would never look for credentials again
        return BedrockCall(
            model=self._model,
            job="rerank passages",
            piece="the passages",
            region=self._region,
            timeout_s=self._timeout_s,
            allow=f"bedrock:Rerank, and bedrock:InvokeModel on {self._arn(self._opened)}",
            unfit=_UNFIT,
        ).error(error)
