"""The words of Bedrock's Converse: messages go in, a request comes out; events go in, text and its end come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipelines.domain import Message, Usage
from pipelines.errors import ModelFailed, SetupFailed
from pipelines.providers.base import Finish, GenerateOptions, TextDelta
from pipelines.providers.bedrock_models import cache_minimum_tokens

if TYPE_CHECKING:
    from types_boto3_bedrock_runtime.type_defs import (
        ContentBlockTypeDef,
        ConverseStreamOutputTypeDef,
        ConverseStreamRequestTypeDef,
        GuardrailStreamConfigurationTypeDef,
        MessageTypeDef,
        SystemContentBlockTypeDef,
        TokenUsageTypeDef,
    )

CHARACTERS_PER_TOKEN = 4
"""Of English prose, about. A mark that comes too early costs nothing: Bedrock then keeps nothing."""

OPENING = "(The conversation begins with your answer.)"
"""For a conversation that was cut so that it begins with an answer, which Converse refuses."""

_REASONS: Mapping[str, Literal["stop", "length", "filtered"]] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "filtered",
    "content_filtered": "filtered",
}


def converse_request(
    model: str,
    messages: Sequence[Message],
    options: GenerateOptions,
    guardrail: GuardrailStreamConfigurationTypeDef | None = None,
) -> ConverseStreamRequestTypeDef:
    """The request for an answer: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html"""
    request: ConverseStreamRequestTypeDef = {"modelId": model, "messages": _turns(messages)}
    if system := _system(model, messages):
        request["system"] = system
    inference: dict[str, Any] = {}
    if options.temperature is not None:
        inference["temperature"] = min(max(options.temperature, 0.0), 1.0)  # OpenAI's goes up to 2, Bedrock's to 1
    if options.max_tokens is not None:
        inference["maxTokens"] = max(options.max_tokens, 1)
    if inference:
        request["inferenceConfig"] = inference  # type: ignore[typeddict-item]  # built name by name
    if guardrail is not None:
        request["guardrailConfig"] = guardrail
    return request


def guardrail_config(setting: str) -> GuardrailStreamConfigurationTypeDef | None:
    """What `BEDROCK_GUARDRAIL` says: an id or an ARN, then a colon and a version (a number or DRAFT).

    Raises:
        SetupFailed: the version is missing.
    """
    if not setting:
        return None
    name, _, version = setting.rpartition(":")
    if not name or not (version.isdecimal() or version == "DRAFT"):
        raise SetupFailed(f"BEDROCK_GUARDRAIL={setting} names no version: put :1, or :DRAFT, behind the id or ARN.")
    # `async` would show text before the guardrail has read it.
    return {"guardrailIdentifier": name, "guardrailVersion": version, "streamProcessingMode": "sync"}


@dataclass(slots=True)
class ConverseAnswer:
    """One answer as it comes in."""

    model: str
    stop_reason: str = ""
    usage: Usage | None = None
    begun: bool = False

    def text(self, event: ConverseStreamOutputTypeDef) -> Iterator[TextDelta]:
        """The text in an event; what else it says is kept. Raises `LookupError` for an event that is none."""
        if "contentBlockDelta" in event:
            # Other deltas are reasoning and tools.
            text = event["contentBlockDelta"]["delta"].get("text")
            if text:
                self.begun = True
                yield TextDelta(text)
        elif "messageStop" in event:
            self.stop_reason = event["messageStop"]["stopReason"]
        elif "metadata" in event:
            self.usage = usage_of(event["metadata"]["usage"])

    def finish(self) -> Finish:
        """The end of the answer; raises `ModelFailed` when it broke off before."""
        if not self.stop_reason:
            raise ModelFailed(f"Bedrock broke off before the end of the answer of {self.model}.")
        return Finish(_REASONS.get(self.stop_reason, "stop"), self.usage)


def usage_of(usage: TokenUsageTypeDef) -> Usage:
    """Bedrock counts what it read from its prompt cache, or wrote there, apart from `inputTokens`; we do not.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
    """
    read, written = usage.get("cacheReadInputTokens", 0), usage.get("cacheWriteInputTokens", 0)
    return Usage(
        prompt_tokens=usage["inputTokens"] + read + written,
        completion_tokens=usage["outputTokens"],
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


def _turns(messages: Sequence[Message]) -> list[MessageTypeDef]:
    """Users and the model in turns, a user first: Converse takes nothing else, and no text that is blank."""
    turns: list[tuple[str, list[ContentBlockTypeDef]]] = []
    for message in messages:
        if message.role == "system" or not message.content.strip():
            continue
        if not turns and message.role == "assistant":
            turns.append(("user", [{"text": OPENING}]))
        if not turns or turns[-1][0] != message.role:
            turns.append((message.role, []))
        turns[-1][1].append({"text": message.content})
    return [{"role": role, "content": content} for role, content in turns]  # type: ignore[typeddict-item]


def _system(model: str, messages: Sequence[Message]) -> list[SystemContentBlockTypeDef]:
    texts = [message.content for message in messages if message.role == "system" and message.content.strip()]
    blocks: list[SystemContentBlockTypeDef] = [{"text": text} for text in texts]
    least = cache_minimum_tokens(model)
    if least is not None and sum(map(len, texts)) >= least * CHARACTERS_PER_TOKEN:
        # It is the same in every prompt; what comes after it never is.
        blocks.append({"cachePoint": {"type": "default"}})
    return blocks
