"""Why Bedrock refuses a conversation, in the words in which it does."""

from __future__ import annotations

from typing import Any

from tests.fakes.aws_catalog import Asked, model_arn, profile_arn
from tests.fakes.aws_scripts import Performance
from tests.fakes.aws_wire import ACCOUNT, Refusal

UNKNOWN_MODEL = Refusal(400, "ValidationException", "The provided model identifier is invalid.")
NO_ACCESS = Refusal(403, "AccessDeniedException", "You don't have access to the model with the specified model ID.")
NO_CHAT = Refusal(
    400,
    "ValidationException",
    "This action doesn't support the model that you provided. Try again with a supported text or chat model.",
)
NO_CACHING = Refusal(
    403,
    "AccessDeniedException",
    "You invoked an unsupported model or your request did not allow prompt caching. See the documentation for more "
    "information.",
)
NO_GUARDRAIL = Refusal(
    400, "ValidationException", "The guardrail identifier or version provided in the request does not exist."
)
THROTTLED = Refusal(429, "ThrottlingException", "Too many requests, please wait before trying again.")
UNAVAILABLE = Refusal(503, "ServiceUnavailableException", "Bedrock is unable to process your request.")
INTERNAL = Refusal(
    500,
    "InternalServerException",
    "The system encountered an unexpected error during processing. Try your request again.",
)
MODEL_ERROR = Refusal(424, "ModelErrorException", "The system encountered an unexpected error during processing.")

_IN_PLACE_OF_AN_ANSWER = {
    "throttled": THROTTLED,
    "internal": INTERNAL,
    "unavailable": UNAVAILABLE,
    "invalid": Refusal(400, "ValidationException", "The model returned the following errors: Malformed input request."),
}
_START = "Try again with a conversation that starts with a user message."
_BLANK = "is blank. Add text to the text field, and try again."


def of_model(model_id: str, asked: Asked, performance: Performance, region: str, action: str) -> Refusal | None:
    """Why the model cannot be asked at all."""
    if not asked.exists:
        return UNKNOWN_MODEL
    if asked.needs_profile or "ondemand" in performance.own:
        return invalid(
            f"Invocation of model ID {model_id} with on-demand throughput isn’t supported. Retry your request with the "
            "ID or ARN of an inference profile that contains this model."
        )
    if "denied" in performance.own:
        return denied(action, _resource(model_id, asked, region))
    if "closed" in performance.own:
        return NO_ACCESS
    return NO_CHAT if asked.model is not None and asked.model.makes != "TEXT" else None


def of_script(performance: Performance) -> Refusal | None:
    """The error that a model of this name sends in place of an answer."""
    script = performance.script
    if script.fault != "err" or script.fault_after:
        return None
    return next((_IN_PLACE_OF_AN_ANSWER[own] for own in performance.own if own in _IN_PLACE_OF_AN_ANSWER), MODEL_ERROR)


def of_body(body: dict[str, Any]) -> Refusal | None:
    """What is wrong with a conversation, whatever the model."""
    messages = body.get("messages") or [{}]
    if messages[0].get("role") != "user":
        return invalid(f"A conversation must start with a user message. {_START}")
    for number, message in enumerate(messages):
        content = message.get("content")
        if not content:
            return invalid(
                f"The content field in the Message object at messages.{number} is empty. Add a ContentBlock object to "
                "the content field and try again."
            )
        for place, block in enumerate(content):
            if "text" in block and not block["text"].strip():
                return invalid(
                    f"The text field in the ContentBlock object at messages.{number}.content.{place} {_BLANK}"
                )
        if number and message.get("role") == messages[number - 1].get("role"):
            return invalid(
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates "
                "between user and assistant roles and try again."
            )
    for place, block in enumerate(body.get("system") or ()):
        if "text" in block and not block["text"].strip():
            return invalid(f"The text field in the SystemContentBlock object at system.{place} {_BLANK}")
    return _of_inference(body.get("inferenceConfig") or {})


def too_long(name: str, tokens: int, limit: int) -> Refusal:
    """Two makers' words for it: https://github.com/aaif-goose/goose/pull/7504."""
    if name.startswith("anthropic."):
        return invalid(
            f"The model returned the following errors: prompt is too long: {tokens} tokens > {limit} maximum"
        )
    return invalid("Input is too long for requested model.")


def denied(action: str, resource: str) -> Refusal:
    """What AWS says of a role without the permission."""
    return Refusal(
        403,
        "AccessDeniedException",
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/ragline/task is not authorized to perform: {action} on resource: "
        f"{resource} because no identity-based policy allows the {action} action",
    )


def invalid(message: str) -> Refusal:
    return Refusal(400, "ValidationException", message)


def _resource(model_id: str, asked: Asked, region: str) -> str:
    if model_id.startswith("arn:"):
        return model_id
    return model_arn(model_id, region) if model_id == asked.name else profile_arn(model_id, region)


def _of_inference(inference: dict[str, Any]) -> Refusal | None:
    for name in ("temperature", "topP"):
        value = inference.get(name)
        if value is not None and not 0 <= value <= 1:
            bound = "greater than or equal to 0" if value < 0 else "less than or equal to 1"
            return invalid(
                f"1 validation error detected: Value '{value}' at 'inferenceConfig.{name}' failed to satisfy "
                f"constraint: Member must have value {bound}"
            )
    tokens = inference.get("maxTokens")
    if tokens is not None and tokens < 1:
        return invalid(
            f"1 validation error detected: Value '{tokens}' at 'inferenceConfig.maxTokens' failed to satisfy "
            "constraint: Member must have value greater than or equal to 1"
        )
    return None
