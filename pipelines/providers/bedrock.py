"""Models of Amazon Bedrock through boto3: messages go in, the model's text comes out as it is produced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

from pipelines.domain import Message
from pipelines.errors import Busy, ContextTooLong, ModelFailed, ModelUnavailable, RaglineError
from pipelines.providers import bedrock_models
from pipelines.providers.aws_client import SIGNING_REGION, AwsClient, streaming_config
from pipelines.providers.aws_errors import is_refused_key
from pipelines.providers.aws_threads import STREAM_ERRORS, AwsThreads
from pipelines.providers.base import ChatDelta, ChatProvider, GenerateOptions
from pipelines.providers.bedrock_converse import ConverseAnswer, converse_request, guardrail_config
from pipelines.providers.bedrock_errors import BedrockCall
from pipelines.stores.aws import NO_CREDENTIALS

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.eventstream import EventStream
    from types_boto3_bedrock_runtime.client import BedrockRuntimeClient
    from types_boto3_bedrock_runtime.type_defs import ConverseStreamOutputTypeDef

SILENCE_S = 930.0
"""The longest silence: more than the router's patience can be set to, for the router says when a call has failed."""

CHECK_TIMEOUT_S = 30.0

ACTIONS = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")

_UNFIT = (
    "model identifier",
    "on-demand throughput",
    "model arn",
    "doesn't support",
    "does not support",
    "access denied",
)
"""What Bedrock calls invalid about the model, rather than about the request."""

Answer = TypeVar("Answer")


class BedrockProvider(ChatProvider):
    """Models, inference profiles and provisioned throughput of one region, with the credentials of AWS' own chain."""

    name = "bedrock"

    def __init__(
        self,
        model: str = "",
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        guardrail: str = "",
        parallel: int = 32,
        connect_timeout_s: float = 5,
    ) -> None:
        """`model` is the one it is set up with; without it, Amazon Nova Lite where the region lies.

        Without `region` the machine's AWS configuration says it. `guardrail` is an id or ARN, a colon and a version.
        Connects to nothing; raises `SetupFailed` for a guardrail without a version.
        """
        self._model, self._guardrail_name = model, guardrail.rpartition(":")[0]
        self._guardrail = guardrail_config(guardrail)
        config = streaming_config(parallel=parallel, connect_timeout_s=connect_timeout_s, silence_s=SILENCE_S)

        def make(session: Session, region: str) -> BedrockRuntimeClient:
            return session.client("bedrock-runtime", region_name=region, endpoint_url=endpoint_url, config=config)

        self._client = AwsClient(make, region=region)
        self._threads = AwsThreads(parallel, name=self.name)

    async def stream(
        self, model: str, messages: Sequence[Message], *, options: GenerateOptions
    ) -> AsyncGenerator[ChatDelta, None]:
        request = converse_request(model, messages, options, self._guardrail)
        answer = ConverseAnswer(model)

        def open_stream() -> EventStream[ConverseStreamOutputTypeDef]:
            return self._client().converse_stream(**request)["stream"]

        try:
            async with aclosing(self._threads.events(open_stream)) as events:
                async for event in events:
                    for delta in answer.text(event):
                        yield delta
        except STREAM_ERRORS as error:
            raise self._translated(error, model, begun=answer.begun) from error
        yield answer.finish()

    async def check(self, model: str = "") -> None:
        asked = model or (await self.models())[0]
        # One token, by the call that answers are made with: only that says that this account may ask this model.
        one_token = GenerateOptions(max_tokens=1)
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                async with aclosing(self.stream(asked, (Message("user", "Hello"),), options=one_token)) as deltas:
                    async for _ in deltas:
                        pass
        except TimeoutError as error:
            raise ModelUnavailable(f"{asked} did not answer within {CHECK_TIMEOUT_S:g} s.") from error

    async def models(self) -> Sequence[str]:
        """The model it is set up with. A role that may ask a model often may not list them."""
        if self._model:
            return [self._model]
        region = await self._bounded(self._client.find_region, bedrock_models.DEFAULT_MODEL)
        return [bedrock_models.default_model(region)]

    async def context_tokens(self, model: str) -> int | None:
        return bedrock_models.context_tokens(model)

    async def close(self) -> None:
        self._threads.close()
        self._client.close()

    async def _bounded(self, ask: Callable[[], Answer], model: str) -> Answer:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                return await self._threads.call(ask)
        except TimeoutError as error:
            raise ModelUnavailable(f"{model} did not answer within {CHECK_TIMEOUT_S:g} s.") from error
        except STREAM_ERRORS as error:
            raise self._translated(error, model, begun=False) from error

    def _translated(self, error: Exception, model: str, *, begun: bool) -> RaglineError:
        if isinstance(error, NO_CREDENTIALS) or is_refused_key(error):
            # It would not look for others; they may have been renewed since.
            self._client.forget()
        told = self._call(model).error(error)
        if begun and isinstance(told, Busy | ContextTooLong):
            return ModelFailed(f"{model} broke off in the middle of its answer: {told.message}")
        return told

    def _call(self, model: str) -> BedrockCall:
        region = self._client.region or SIGNING_REGION
        resources = bedrock_models.needed_arns(model, region=region, partition=self._client.partition)
        allow = f"{' and '.join(ACTIONS)} on {' and '.join(resources)}"
        if self._guardrail_name:
            allow += f", and bedrock:ApplyGuardrail on {self._guardrail_name}"
        return BedrockCall(
            model=model,
            job="answer",
            piece="an answer",
            region=region,
            timeout_s=SILENCE_S,
            allow=allow,
            unfit=_UNFIT,
            prompted=True,
        )
