"""Endpoints of SageMaker that run vLLM or LMI, through boto3: messages go in, the text comes out as it is produced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import orjson

from pipelines.domain import Message
from pipelines.errors import Busy, ContextTooLong, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers.aws_client import SIGNING_REGION, AwsClient, streaming_config
from pipelines.providers.aws_errors import is_refused_key
from pipelines.providers.aws_threads import STREAM_ERRORS, AwsThreads
from pipelines.providers.base import ChatDelta, ChatProvider, GenerateOptions
from pipelines.providers.openai_lines import ChatLines
from pipelines.providers.sagemaker_errors import SageMakerCall
from pipelines.stores.aws import NO_CREDENTIALS

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.eventstream import EventStream
    from types_boto3_sagemaker_runtime.client import SageMakerRuntimeClient
    from types_boto3_sagemaker_runtime.type_defs import (
        InvokeEndpointWithResponseStreamInputTypeDef,
        ResponseStreamTypeDef,
    )

SILENCE_S = 930.0
"""The longest silence: more than the router's patience can be set to, for the router says when a call has failed."""

CHECK_TIMEOUT_S = 30.0


class SageMakerProvider(ChatProvider):
    """Endpoints of one region, with the credentials of AWS' own chain.

    A model's name is its endpoint's; of an endpoint that holds several models, `endpoint/inference-component`.
    """

    name = "sagemaker"

    def __init__(
        self,
        endpoint: str = "",
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        parallel: int = 16,
        connect_timeout_s: float = 5,
    ) -> None:
        """`endpoint` is the one it is set up with. Without `region` the machine's AWS configuration says it."""
        self._endpoint = endpoint
        config = streaming_config(parallel=parallel, connect_timeout_s=connect_timeout_s, silence_s=SILENCE_S)

        def make(session: Session, region: str) -> SageMakerRuntimeClient:
            return session.client("sagemaker-runtime", region_name=region, endpoint_url=endpoint_url, config=config)

        self._client = AwsClient(make, region=region)
        self._threads = AwsThreads(parallel, name=self.name)

    async def stream(
        self, model: str, messages: Sequence[Message], *, options: GenerateOptions
    ) -> AsyncGenerator[ChatDelta, None]:
        request = invoke_request(model, messages, options)
        answer = ChatLines("SageMaker", model)

        def open_stream() -> EventStream[ResponseStreamTypeDef]:
            return self._client().invoke_endpoint_with_response_stream(**request)["Body"]

        try:
            async with aclosing(self._threads.events(open_stream)) as events:
                async for event in events:
                    for delta in answer.text(event["PayloadPart"]["Bytes"]):
                        yield delta
            for delta in answer.end():
                yield delta
        except STREAM_ERRORS as error:
            raise self._translated(error, model, begun=answer.begun) from error
        yield answer.finish()

    async def check(self, model: str = "") -> None:
        asked = model or self._endpoint
        if not asked:
            raise UnknownModel("No endpoint of SageMaker is named: set SAGEMAKER_ENDPOINT.")
        options = GenerateOptions(max_tokens=1)
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                async with aclosing(self.stream(asked, (Message("user", "Hello"),), options=options)) as deltas:
                    async for _ in deltas:
                        pass
        except TimeoutError as error:
            raise ModelUnavailable(f"{asked} did not answer within {CHECK_TIMEOUT_S:g} s.") from error

    async def models(self) -> Sequence[str]:
        """The endpoint it is set up with. A role that may ask an endpoint often may not list them."""
        return [self._endpoint] if self._endpoint else []

    async def close(self) -> None:
        self._threads.close()
        self._client.close()

    def _translated(self, error: Exception, model: str, *, begun: bool) -> RaglineError:
        if isinstance(error, NO_CREDENTIALS) or is_refused_key(error):
            # It would not look for others; they may have been renewed since.
            self._client.forget()
        endpoint, _, component = model.partition("/")
        region = self._client.region or SIGNING_REGION
        told = SageMakerCall(endpoint, component, region, self._client.partition, SILENCE_S).error(error)
        if begun and isinstance(told, Busy | ContextTooLong):
            return ModelFailed(f"{model} broke off in the middle of its answer: {told.message}")
        return told


def invoke_request(
    model: str, messages: Sequence[Message], options: GenerateOptions
) -> InvokeEndpointWithResponseStreamInputTypeDef:
    """OpenAI's chat, without the name of a model: vLLM and LMI serve the one they were started with.

    https://docs.djl.ai/docs/serving/serving/docs/lmi/user_guides/chat_input_output_schema.html
    """
    endpoint, _, component = model.partition("/")
    body: dict[str, Any] = {
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if options.temperature is not None:
        body["temperature"] = options.temperature
    if options.max_tokens is not None:
        body["max_tokens"] = options.max_tokens
    request: InvokeEndpointWithResponseStreamInputTypeDef = {
        "EndpointName": endpoint,
        "Body": orjson.dumps(body),
        "ContentType": "application/json",
    }
    if component:
        request["InferenceComponentName"] = component
    return request
