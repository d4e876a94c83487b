"""What is known of Bedrock's models without asking: a model id goes in, its limits, regions and ARNs come out.

A model id is a model's own (`amazon.nova-lite-v1:0`), an inference profile's (`eu.amazon.nova-lite-v1:0`) or an ARN.
"""

from __future__ import annotations

import re

DEFAULT_MODEL = "amazon.nova-lite-v1:0"
"""Amazon Nova Lite: active, with no day set for its end, when others last read AWS' page on the lives of models
(2026-09-01, https://github.com/api-evangelist/amazon-nova). Litellm 1.109.1 has no end for it either.

Nova 2 Lite costs five times as much, and what it gains it gains by reasoning, for which a reader would wait.
https://docs.aws.amazon.com/bedrock/latest/userguide/model-lifecycle.html
"""

_PROFILE = re.compile(r"(?P<place>global|us|us-gov|eu|apac|jp|au|in|ca|sa|me|af|il)\.(?P<model>[^.]+\..+)")
"""An inference profile is named by where it runs and the model it runs."""

_GEOGRAPHIES = (("us-gov-", "us-gov"), ("us-", "us"), ("eu-", "eu"), ("ap-", "apac"))
_GEOGRAPHIES_OF_THE_DEFAULT = ("us", "eu", "apac")
"""https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html"""

_CONTEXT_TOKENS = tuple(
    (re.compile(pattern), tokens)
    for pattern, tokens in (
        (r"amazon\.nova-micro-", 128_000),
        (r"amazon\.nova-(lite|pro)-", 300_000),
        (r"amazon\.nova-(premier|2-(lite|pro))-", 1_000_000),
        (r"anthropic\.claude-(3|(haiku|sonnet|opus)-4-(5|1)-|(sonnet|opus)-4-2)", 200_000),
        (r"anthropic\.claude-((sonnet|opus)-4-[678]|(haiku|sonnet|opus)-5)", 1_000_000),
        (r"meta\.llama3-[123]-", 128_000),
        (r"meta\.llama3-", 8_192),
        (r"meta\.llama4-", 1_000_000),
        (r"mistral\.(mistral-large-2407|pixtral-large|ministral-3)", 128_000),
        (r"mistral\.(mistral-7b|mistral-large-2402|mistral-small-2402|mixtral)", 32_000),
        (r"openai\.gpt-oss-", 128_000),
        (r"deepseek\.(r1|v3-v1)", 128_000),
        (r"qwen\.qwen3-32b", 32_768),
    )
)
"""Prompt and answer together; from litellm 1.109.1 (PyPI), model_prices_and_context_window_backup.json."""

_CACHE_MINIMUM_TOKENS = tuple(
    (re.compile(pattern), tokens)
    for pattern, tokens in (
        (r"amazon\.nova-", 1_024),
        (r"anthropic\.claude-(3-7-sonnet|(sonnet|opus)-4-2|opus-4-(1|8)|sonnet-4-[56]|sonnet-5)", 1_024),
        (r"anthropic\.claude-(3-5-haiku|opus-4-7)", 2_048),
        (r"anthropic\.claude-(haiku-[45]|opus-4-[56]|opus-5)", 4_096),
    )
)
"""The shortest beginning of a prompt that these models keep; others keep none.

https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html as Spring AI quotes it (Nova 1K, Haiku 4.5
4,096), and for Claude after that what Anthropic says of its own API. Of the newest, of which neither was found, the
highest of their family is taken: a mark below a model's minimum is passed over, and one that is left out costs little.
"""


def default_model(region: str) -> str:
    """Amazon Nova Lite where `region` lies: in its geography, which the documents then do not leave, or in itself.

    Without a region it is the one of the United States.
    """
    geography = geography_of(region or "us-east-1")
    return f"{geography}.{DEFAULT_MODEL}" if geography in _GEOGRAPHIES_OF_THE_DEFAULT else DEFAULT_MODEL


def geography_of(region: str) -> str:
    """The first part of the inference profiles of a region, such as "eu"; empty where there is none."""
    return next((name for prefix, name in _GEOGRAPHIES if region.startswith(prefix)), "")


def profile_of(model: str, region: str) -> str:
    """The inference profile by which a model can be asked in a region; "global." where the geography has none."""
    return f"{geography_of(region) or 'global'}.{_model_of(model)}"


def is_elsewhere(model: str, region: str) -> bool:
    """Whether `model` is a profile of another geography than the region's, which cannot be asked there."""
    profile = _PROFILE.fullmatch(model)
    place = profile["place"] if profile else ""
    return place in {name for _, name in _GEOGRAPHIES} and place != geography_of(region)


def context_tokens(model: str) -> int | None:
    """The longest prompt and answer together, in tokens; None where it is not documented or the ARN hides the model."""
    return _first(_CONTEXT_TOKENS, model)


def cache_minimum_tokens(model: str) -> int | None:
    """How long the beginning of a prompt must be for the model to keep it; None for a model that keeps none."""
    return _first(_CACHE_MINIMUM_TOKENS, model)


def needed_arns(model: str, *, region: str | None, partition: str = "aws") -> list[str]:
    """The ARNs that a role needs for a model: a profile's own, and its model's in every region it may run in."""
    if model.startswith("arn:"):
        return [model]
    if _PROFILE.fullmatch(model) is None:
        return [f"arn:{partition}:bedrock:{region}::foundation-model/{model}"]
    return [
        f"arn:{partition}:bedrock:{region}:*:inference-profile/{model}",
        f"arn:{partition}:bedrock:*::foundation-model/{_model_of(model)}",
    ]


def _model_of(model: str) -> str:
    """The model that a profile runs. The ARNs of models and of AWS' own profiles end with their names."""
    name = model.rpartition("/")[2]
    profile = _PROFILE.fullmatch(name)
    return profile["model"] if profile else name


def _first(table: tuple[tuple[re.Pattern[str], int], ...], model: str) -> int | None:
    name = _model_of(model)
    return next((tokens for pattern, tokens in table if pattern.match(name)), None)
