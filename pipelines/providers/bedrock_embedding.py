"""An embedding model of Amazon Bedrock: texts go in, vectors come out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import HTTPClientError
from urllib3.exceptions import HTTPError

from pipelines.errors import RaglineError, UnknownModel
from pipelines.providers.aws_client import AwsClient
from pipelines.providers.base import InputType
from pipelines.providers.bedrock_errors import BedrockCall
from pipelines.providers.bedrock_models import needed_arns
from pipelines.providers.remote_embedding import (
    DOCUMENT_TIMEOUT_S,
    QUESTION_TIMEOUT_S,
    CallLimits,
    EmbeddingCalls,
    RemoteEmbedding,
    Vectors,
    load_remote,
)
from pipelines.stores.aws import AWS_ERRORS, NO_CREDENTIALS

if TYPE_CHECKING:
    from boto3.session import Session
    from types_boto3_bedrock_runtime.client import BedrockRuntimeClient

DIMENSIONS = 1024
"""Of models that have a choice: Titan's largest, which Cohere 4 (up to 1,536) and Nova (up to 3,072) have too. The
index holds every vector in memory, by its length."""

_COHERE = {"question": "search_query", "document": "search_document"}
_NOVA = {"question": "TEXT_RETRIEVAL", "document": "GENERIC_INDEX"}
_UNFIT = ("model identifier", "on-demand throughput", "not supported")
"""What Bedrock calls invalid about the model, rather than about the texts."""


@dataclass(frozen=True, slots=True)
class Family:
    """How models whose id matches `pattern` are asked, and the tokens they read."""

    pattern: str
    window: int
    limits: CallLimits
    body: Callable[[Sequence[str], InputType], Mapping[str, Any]]
    vectors: Callable[[Mapping[str, Any]], Vectors]


def _titan_2(texts: Sequence[str], _: InputType) -> Mapping[str, Any]:
    return {"inputText": texts[0], "dimensions": DIMENSIONS, "normalize": True}


def _titan_1(texts: Sequence[str], _: InputType) -> Mapping[str, Any]:
    return {"inputText": texts[0]}


def _cohere_4(texts: Sequence[str], input_type: InputType) -> Mapping[str, Any]:
    size = {"output_dimension": DIMENSIONS, "embedding_types": ["float"]}
    return {"texts": texts, "input_type": _COHERE[input_type], "truncate": "RIGHT", **size}


def _cohere_3(texts: Sequence[str], input_type: InputType) -> Mapping[str, Any]:
    return {"texts": texts, "input_type": _COHERE[input_type], "truncate": "END"}


def _nova(texts: Sequence[str], input_type: InputType) -> Mapping[str, Any]:
    text = {"truncationMode": "END", "value": texts[0]}
    wanted = {"embeddingPurpose": _NOVA[input_type], "embeddingDimension": DIMENSIONS, "text": text}
    return {
        "schemaVersion": "nova-multimodal-embed-v1",
        "taskType": "SINGLE_EMBEDDING",
        "singleEmbeddingParams": wanted,
    }


def _of_cohere(answer: Mapping[str, Any]) -> Vectors:
    vectors: Any = answer["embeddings"]
    named: Vectors = vectors["float"] if isinstance(vectors, dict) else vectors
    return named


# Those that take one text a call are asked for several at once; a question with its parts is one text or two.
FAMILIES = (
    # https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html
    Family(r"titan-embed-text-v2", 8192, CallLimits(1, 50_000, 8), _titan_2, lambda answer: [answer["embedding"]]),
    Family(r"titan-embed-(g1-)?text", 8192, CallLimits(1, 50_000, 8), _titan_1, lambda answer: [answer["embedding"]]),
    # https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed-v4.html, and -v3.html
    Family(r"cohere\.embed-v4", 128_000, CallLimits(96, 50_000, 4), _cohere_4, _of_cohere),
    Family(r"cohere\.embed-", 512, CallLimits(96, 2_048, 4), _cohere_3, _of_cohere),
    # https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html
    Family(
        r"amazon\.nova-.*embed",
        8192,
        CallLimits(1, 8_192, 8),
        _nova,
        lambda answer: [answer["embeddings"][0]["embedding"]],
    ),
)


class BedrockEmbeddingCalls(EmbeddingCalls):
    """One embedding model or inference profile, with the credentials of AWS' own chain: a task role, a profile, a key.

    Raises:
        UnknownModel: it is of no family whose requests are known here.
    """

    provider = "bedrock"

    def __init__(
        self, model: str, *, region: str | None = None, endpoint_url: str | None = None, connect_timeout_s: float = 5
    ) -> None:
        """Without `region` the machine's AWS configuration says it."""
        self.model = model
        self._family = _family_of(model)
        self.limits = self._family.limits
        self._timeouts = {"question": QUESTION_TIMEOUT_S, "document": DOCUMENT_TIMEOUT_S}

        def opening(timeout_s: float) -> AwsClient[BedrockRuntimeClient]:
            config = Config(
                connect_timeout=connect_timeout_s,
                read_timeout=timeout_s,
                # What is tried again is said in one place for all providers.
                retries={"mode": "standard", "total_max_attempts": 1},
                max_pool_connections=self.limits.calls,
            )

            def make(session: Session, signing_region: str) -> BedrockRuntimeClient:
                return session.client(
                    "bedrock-runtime", region_name=signing_region, endpoint_url=endpoint_url, config=config
                )

            return AwsClient(make, region=region)

        self._clients = {kind: opening(timeout_s) for kind, timeout_s in self._timeouts.items()}

    @property
    def window(self) -> int:
        """The tokens that the model reads, as documented."""
        return self._family.window

    def call(self, texts: Sequence[str], *, input_type: InputType) -> Vectors:
        try:
            answer = self._clients[input_type]().invoke_model(
                modelId=self.model,
                body=json.dumps(self._family.body(texts, input_type)),
                contentType="application/json",
                accept="application/json",
            )
            return self._family.vectors(json.loads(answer["body"].read()))
        except (*AWS_ERRORS, HTTPError, HTTPClientError, LookupError, TypeError, ValueError) as error:
            raise self._translated(error, input_type) from error

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def _translated(self, error: Exception, input_type: InputType) -> RaglineError:
        client = self._clients[input_type]
        if isinstance(error, NO_CREDENTIALS):
            client.forget()
        region = client.region or None
        return BedrockCall(
            model=self.model,
            job="embed texts",
            piece="a text",
            region=region,
            timeout_s=self._timeouts[input_type],
            allow="bedrock:InvokeModel on "
            + " and ".join(needed_arns(self.model, region=region, partition=client.partition)),
            unfit=_UNFIT,
        ).error(error)


def load_bedrock_embedding(
    model: str, *, region: str | None = None, endpoint_url: str | None = None, connect_timeout_s: float = 5
) -> RemoteEmbedding:
    """Find out what the model is; raises what is wrong with it or with AWS as a `RaglineError`."""
    calls = BedrockEmbeddingCalls(model, region=region, endpoint_url=endpoint_url, connect_timeout_s=connect_timeout_s)
    return load_remote(calls, window=calls.window)


def _family_of(model: str) -> Family:
    for family in FAMILIES:
        if re.search(family.pattern, model):
            return family
    raise UnknownModel(
        f"{model} is no embedding model of Bedrock that is known here: take one of Titan, Nova or Cohere, by "
        "its id or its inference profile, such as amazon.titan-embed-text-v2:0."
    )
