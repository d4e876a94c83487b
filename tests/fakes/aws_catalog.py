"""The models that the fake Bedrock has: which can be asked as they are, which through an inference profile, and where.

Names, kinds of inference and geographies as in https://docs.aws.amazon.com/bedrock/latest/userguide/models-supported.html
and https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html, read in 2026.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.fakes.aws_wire import ACCOUNT

GEOGRAPHIES = {"us": "us-", "eu": "eu-", "apac": "ap-", "jp": "ap-northeast-", "global": ""}
"""The first word of an inference profile's id, and with what the regions begin in which it can be asked."""

_ARN = re.compile(
    r"arn:aws(?:-[^:]+)?:bedrock:(?P<region>[a-z0-9-]{1,20}):(?P<account>\d{12})?:"
    r"(?P<kind>foundation-model|inference-profile|application-inference-profile)/(?P<name>[a-zA-Z0-9-:.]+)"
)


@dataclass(frozen=True, slots=True)
class Model:
    """A foundation model, and what it makes: a `TEXT`, an `EMBEDDING` or a `SCORE`.

    `on_demand` are the regions in which its bare id can be asked ("*": all), `geographies` those of its profiles.
    """

    id: str
    name: str
    makes: str = "TEXT"
    reads: tuple[str, ...] = ("TEXT",)
    on_demand: tuple[str, ...] = ()
    geographies: tuple[str, ...] = ()
    caches: bool = False
    context_tokens: int = 200_000

    @property
    def maker(self) -> str:
        return self.id.split(".")[0]


_IMAGES = ("TEXT", "IMAGE")
_EVERYWHERE = ("us", "eu", "apac")

MODELS = (
    Model("amazon.nova-micro-v1:0", "Nova Micro", "TEXT", ("TEXT",), ("us-east-1",), _EVERYWHERE, True, 128_000),
    Model("amazon.nova-lite-v1:0", "Nova Lite", "TEXT", _IMAGES, ("us-east-1",), _EVERYWHERE, True, 300_000),
    Model("amazon.nova-pro-v1:0", "Nova Pro", "TEXT", _IMAGES, ("us-east-1",), _EVERYWHERE, True, 300_000),
    Model("amazon.nova-2-lite-v1:0", "Nova 2 Lite", "TEXT", _IMAGES, (), ("us", "eu", "jp", "global"), True, 1_000_000),
    Model(
        *("anthropic.claude-haiku-4-5-20251001-v1:0", "Claude Haiku 4.5", "TEXT", _IMAGES),
        geographies=("us", "eu", "jp", "global"),
        caches=True,
    ),
    Model(
        *("anthropic.claude-sonnet-4-5-20250929-v1:0", "Claude Sonnet 4.5", "TEXT", _IMAGES),
        geographies=("us", "eu", "jp", "global"),
        caches=True,
    ),
    Model("mistral.mistral-large-2402-v1:0", "Mistral Large (24.02)", on_demand=("*",), context_tokens=32_000),
    Model("amazon.titan-embed-text-v2:0", "Titan Text Embeddings V2", "EMBEDDING", on_demand=("*",)),
    Model("amazon.titan-embed-text-v1", "Titan Embeddings G1 - Text", "EMBEDDING", on_demand=("*",)),
    Model(
        *("amazon.nova-2-multimodal-embeddings-v1:0", "Nova Multimodal Embeddings", "EMBEDDING", _IMAGES),
        on_demand=("us-east-1",),
    ),
    Model("cohere.embed-multilingual-v3", "Embed Multilingual", "EMBEDDING", on_demand=("*",)),
    Model("cohere.embed-v4:0", "Embed v4", "EMBEDDING", _IMAGES, (), ("us", "eu", "global")),
    Model("amazon.rerank-v1:0", "Rerank 1.0", "SCORE", on_demand=("*",)),
)
_BY_ID = {model.id: model for model in MODELS}


@dataclass(frozen=True, slots=True)
class Asked:
    """What an id asks for in a region: the model's name, and the model where it is in the table.

    `needs_profile`: there is such a model, but it can only be asked through a profile.
    """

    name: str
    model: Model | None = None
    exists: bool = True
    needs_profile: bool = False


def find(model_id: str, region: str) -> Asked:
    """What `model_id` (an id, a profile's id or an ARN of one) means in `region`."""
    name = model_id
    if model_id.startswith("arn:"):
        arn = _ARN.fullmatch(model_id)
        if arn is None or arn["region"] != region:
            return Asked(model_id, exists=False)
        name = arn["name"]
        if arn["kind"] == "application-inference-profile":
            return Asked(name)
    geography, _, rest = name.partition(".")
    if geography in GEOGRAPHIES:
        model = _BY_ID.get(rest)
        offered = "mock-" in rest or (model is not None and geography in model.geographies)
        return Asked(rest, model, exists=offered and region.startswith(GEOGRAPHIES[geography]))
    model = _BY_ID.get(name)
    closed = model is not None and not {"*", region}.intersection(model.on_demand)
    return Asked(name, model, exists="mock-" in name or model is not None, needs_profile=closed)


def profiles(region: str) -> dict[str, Model]:
    """The inference profiles of a region by their ids."""
    return {
        f"{geography}.{model.id}": model
        for model in MODELS
        for geography in model.geographies
        if region.startswith(GEOGRAPHIES[geography])
    }


def profile_arn(profile: str, region: str) -> str:
    return f"arn:aws:bedrock:{region}:{ACCOUNT}:inference-profile/{profile}"


def model_arn(model: str, region: str) -> str:
    return f"arn:aws:bedrock:{region}::foundation-model/{model}"
