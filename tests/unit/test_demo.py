"""What the demo says below each answer."""

from __future__ import annotations

from pipelines.demo import account


def test_an_answer_is_accounted_for_by_who_gave_it_its_tokens_and_its_cost() -> None:
    usage = {"prompt_tokens": 901, "completion_tokens": 86, "total_tokens": 987, "estimated": False}
    bedrock = {**usage, "cost_usd": 0.0000747, "answered_by": "bedrock/us.amazon.nova-lite-v1:0"}
    expected = "answered by Bedrock (us.amazon.nova-lite-v1:0), 901 tokens read, 86 written, 0.000075 USD"
    assert account(bedrock) == expected


def test_tokens_that_nobody_counted_are_marked() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17, "estimated": True}
    said = account({**usage, "answered_by": "extractive/quotes", "cached": True})
    assert said == "answered by quotes from your documents, ~9 tokens read, ~8 written, kept from an earlier question"


def test_what_is_not_known_is_left_out() -> None:
    assert account({"answered_by": "", "timings": {}}) == "answered by the model"
