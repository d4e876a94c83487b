"""What an answer costs, from the price file that is shipped."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from pipelines import cost
from pipelines.cost import Price, PriceList
from pipelines.domain import Usage
from pipelines.errors import SetupFailed

SHIPPED = Path(cost.__file__).parent / "prices.json"


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


def test_an_unknown_price_is_not_nothing(prices: PriceList) -> None:
    assert prices.cost_usd("openai/anything", Usage(1, 1)) is None
    assert prices.cost_usd("bedrock/not.a-model", Usage(1, 1)) is None


def test_an_entry_that_names_the_model_beats_a_pattern() -> None:
    prices = PriceList([_price("bedrock/*"), _price("bedrock/amazon.nova", input=5)])
    assert prices.cost_usd("bedrock/amazon.nova", Usage(1_000_000, 0)) == 5
    assert prices.cost_usd("bedrock/other", Usage(1_000_000, 0)) == 1


def test_every_entry_says_where_and_when_it_was_read(prices: PriceList) -> None:
    assert all(price.source and price.read_on <= dt.date(2100, 1, 1) for price in prices._prices)
    names = [price.model for price in prices._prices]
    assert len(names) == len(set(names))


def test_end_dates_are_kept(prices: PriceList) -> None:
    llama = prices.find("bedrock/us.meta.llama3-2-3b-instruct-v1:0")
    assert llama is not None
    assert llama.ends_on == dt.date(2026, 7, 7)


@pytest.mark.parametrize("content", ["", "[]", '{"note": "", "prices": [{"model": "x"}]}'])
def test_a_file_that_is_not_prices_is_refused_with_its_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "prices.json"
    path.write_text(content)
    with pytest.raises(SetupFailed, match=r"prices\.json"):
        PriceList.load(path)


def test_a_missing_file_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match="PRICES_FILE"):
        PriceList.load(tmp_path / "none.json")
