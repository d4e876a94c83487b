"""What is known of Bedrock's models without asking."""

from __future__ import annotations

import pytest

from pipelines.cost import PriceList
from pipelines.domain import Usage
from pipelines.providers.bedrock_models import (
    cache_minimum_tokens,
    context_tokens,
    default_model,
    is_elsewhere,
    needed_arns,
    profile_of,
)
from pipelines.settings import Settings

LITE = "amazon.nova-lite-v1:0"


@pytest.mark.parametrize(
    ("region", "model"),
    [
        ("us-east-1", f"us.{LITE}"),
        ("us-west-2", f"us.{LITE}"),
        ("eu-central-1", f"eu.{LITE}"),
        ("eu-south-2", f"eu.{LITE}"),
        ("ap-northeast-1", f"apac.{LITE}"),
        ("ap-south-1", f"apac.{LITE}"),
        ("us-gov-west-1", LITE),
        ("sa-east-1", LITE),
        ("", f"us.{LITE}"),
    ],
)
def test_the_default_model_stays_in_the_geography_and_has_a_price(region: str, model: str) -> None:
    assert default_model(region) == model
    prices = PriceList.load(Settings.model_fields["prices_file"].default)
    assert prices.cost_usd(f"bedrock/{model}", Usage(1_000_000, 0))


@pytest.mark.parametrize(
    ("model", "reads", "keeps"),
    [
        (f"apac.{LITE}", 300_000, 1_024),
        ("us.amazon.nova-2-lite-v1:0", 1_000_000, 1_024),
        ("amazon.nova-micro-v1:0", 128_000, 1_024),
        ("global.anthropic.claude-haiku-4-5-20251001-v1:0", 200_000, 4_096),
        ("anthropic.claude-3-5-haiku-20241022-v1:0", 200_000, 2_048),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", 200_000, 1_024),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", 200_000, 1_024),
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", 200_000, 4_096),
        ("us.anthropic.claude-sonnet-4-6", 1_000_000, 1_024),
        ("global.anthropic.claude-sonnet-5", 1_000_000, 1_024),
        ("us.meta.llama3-3-70b-instruct-v1:0", 128_000, None),
        ("meta.llama3-8b-instruct-v1:0", 8_192, None),
        (f"arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.{LITE}", 300_000, 1_024),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{LITE}", 300_000, 1_024),
        ("arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc", None, None),
        ("acme.unheard-of-v1", None, None),
    ],
)
def test_knows_what_a_model_reads_and_keeps(model: str, reads: int | None, keeps: int | None) -> None:
    assert context_tokens(model) == reads
    assert cache_minimum_tokens(model) == keeps


def test_names_the_profile_of_the_region() -> None:
    assert profile_of(LITE, "eu-west-1") == f"eu.{LITE}"
    assert profile_of(f"us.{LITE}", "ap-south-1") == f"apac.{LITE}"
    assert profile_of("anthropic.claude-haiku-4-5-20251001-v1:0", "sa-east-1").startswith("global.anthropic.")
    assert is_elsewhere(f"us.{LITE}", "eu-west-1")
    assert not any(is_elsewhere(model, "eu-west-1") for model in (f"eu.{LITE}", f"global.{LITE}", LITE))


def test_names_the_permissions_in_the_partition_of_the_region() -> None:
    assert needed_arns(LITE, region="us-gov-west-1", partition="aws-us-gov") == [
        f"arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/{LITE}"
    ]
