"""What an answer costs, from the price file that is shipped."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from pipelines import cost
from pipelines.cost import Price, PriceList, estimate_usage
from pipelines.domain import Usage
from pipelines.errors import SetupFailed
from pipelines.providers.bedrock_models import default_model

SHIPPED = Path(cost.__file__).parent / "prices.json"

REGIONS = (
    *("us-east-1", "us-west-2", "ca-central-1", "sa-east-1"),
    *("eu-central-1", "eu-west-1", "eu-north-1"),
    *("ap-northeast-1", "ap-southeast-1", "ap-southeast-2", "ap-south-1"),
)
"""At least one of each geography that Bedrock has inference profiles for, and two that have none."""


@pytest.fixture
def prices() -> PriceList:
    return PriceList.load(SHIPPED)


def _price(model: str, **fields: object) -> Price:
    entry = {
        "model": model,
        "input": 1,
        "output": 2,
        "unit": "USD per 1M tokens",
        "region": "us-east-1",
        "source": "a page",
        "read_on": "2026-11-21",
        "confidence": "read",
    }
    return Price.model_validate(entry | fields)


def test_a_typical_answer_costs_what_the_list_price_says(prices: PriceList) -> None:
    usage = Usage(prompt_tokens=2000, completion_tokens=300)
    assert prices.cost_usd("bedrock/amazon.nova-lite-v1:0", usage) == pytest.approx(0.000192)
    global_haiku = "bedrock/global.anthropic.claude-haiku-4-5-20251001-v1:0"
    assert prices.cost_usd(global_haiku, usage) == pytest.approx(0.0035)


def test_models_on_your_own_machine_cost_nothing(prices: PriceList) -> None:
    assert prices.cost_usd("ollama/llama3.2:3b", Usage(1000, 1000)) == 0
    assert prices.cost_usd("extractive/quotes", Usage(1000, 1000, estimated=True)) == 0
    assert prices.cost_usd("sagemaker/my-endpoint", Usage(1000, 1000)) == 0


@pytest.mark.parametrize("model", ["ollama/llama3.2:3b", "extractive/quotes", "sagemaker/my-endpoint"])
def test_what_costs_nothing_says_so(prices: PriceList, model: str) -> None:
    price = prices.find(model)
    assert price is not None
    assert price.is_free


def test_what_costs_anything_is_not_free() -> None:
    assert not _price("a", input=0, output=0.1).is_free
    assert not _price("a", input=0, output=0, cache_write=1).is_free
    longer = {"above_prompt_tokens": 10, "input": 1, "output": 1}
    assert not _price("a", input=0, output=0, long_prompt=longer).is_free


def test_tokens_read_from_the_prompt_cache_cost_their_own_price_and_are_not_charged_twice() -> None:
    prices = PriceList([_price("a", input=10, output=100, cache_read=1, cache_write=12.5)])
    usage = Usage(1_000_000, 0, cache_read_tokens=600_000, cache_write_tokens=100_000)
    assert prices.cost_usd("a", usage) == pytest.approx(0.3 * 10 + 0.6 * 1 + 0.1 * 12.5)


def test_without_prices_of_their_own_cached_tokens_cost_what_others_do() -> None:
    prices = PriceList([_price("a", input=10, output=0)])
    usage = Usage(1_000_000, 0, cache_read_tokens=600_000, cache_write_tokens=100_000)
    assert prices.cost_usd("a", usage) == pytest.approx(10)


def test_more_cached_tokens_than_the_prompt_had_never_make_an_answer_cheaper() -> None:
    prices = PriceList([_price("a", input=10, output=0, cache_read=1)])
    assert prices.cost_usd("a", Usage(10, 0, cache_read_tokens=1_000_000)) == pytest.approx(1)


def test_a_long_prompt_costs_its_own_price_for_all_of_its_tokens(prices: PriceList) -> None:
    haiku = "bedrock/us.anthropic.claude-haiku-5-5"
    assert prices.cost_usd(haiku, Usage(100_000, 1000)) == pytest.approx(0.1 * 0.11 + 0.001 * 0.55)
    assert prices.cost_usd(haiku, Usage(100_001, 1000)) == pytest.approx(0.100001 * 0.55 + 0.001 * 2.75)


def test_a_profile_named_by_its_arn_costs_what_the_profile_costs(prices: PriceList) -> None:
    usage = Usage(1_000_000, 0)
    arn = "bedrock/arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0"
    assert prices.cost_usd(arn, usage) == pytest.approx(0.078)
    own = "bedrock/arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1b2c3"
    assert prices.cost_usd(own, usage) is None


def test_an_estimate_says_that_it_is_one() -> None:
    assert estimate_usage(4001, 7) == Usage(1001, 2, estimated=True)
    assert estimate_usage(0, 0) == Usage(0, 0, estimated=True)


def test_an_unknown_price_is_not_nothing(prices: PriceList) -> None:
    assert prices.cost_usd("openai/anything", Usage(1, 1)) is None
    assert prices.cost_usd("bedrock/not.a-model", Usage(1, 1)) is None


def test_an_entry_that_names_the_model_beats_a_pattern() -> None:
    prices = PriceList([_price("bedrock/*"), _price("bedrock/amazon.nova", input=5)])
    assert prices.cost_usd("bedrock/amazon.nova", Usage(1_000_000, 0)) == 5
    assert prices.cost_usd("bedrock/other", Usage(1_000_000, 0)) == 1


def test_every_entry_says_where_and_when_it_was_read() -> None:
    shipped = json.loads(SHIPPED.read_text())["prices"]
    assert all(price["source"] and price["read_on"] for price in shipped)
    names = [price["model"] for price in shipped]
    assert len(names) == len(set(names))


def test_end_dates_are_kept(prices: PriceList) -> None:
    llama = prices.find("bedrock/us.meta.llama3-2-3b-instruct-v1:0")
    assert llama is not None
    assert llama.ends_on == dt.date(2026, 7, 7)
    assert not llama.has_ended(dt.date(2026, 7, 6))
    assert llama.has_ended(dt.date(2026, 7, 7))


@pytest.mark.parametrize("region", REGIONS)
def test_the_default_bedrock_model_is_served_today_and_has_a_price(prices: PriceList, region: str) -> None:
    price = prices.find(f"bedrock/{default_model(region)}")
    assert price is not None
    assert not price.has_ended(dt.datetime.now(dt.UTC).date()), "choose another default: AWS no longer serves this one"


@pytest.mark.parametrize("content", ["", "[]", '{"note": "", "prices": [{"model": "x"}]}'])
def test_a_file_that_is_not_prices_is_refused_with_its_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "prices.json"
    path.write_text(content)
    with pytest.raises(SetupFailed, match=r"prices\.json"):
        PriceList.load(path)


def test_a_missing_file_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match="PRICES_FILE"):
        PriceList.load(tmp_path / "none.json")
