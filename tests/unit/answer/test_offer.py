"""The models a person may choose."""

from __future__ import annotations

import pytest

from pipelines.answer.offer import ModelOffer
from pipelines.errors import UnknownModel

OFFER = ModelOffer(choices=("bedrock", "ollama/llama3.2:1b", "extractive/quotes"))


def test_the_default_follows_the_settings() -> None:
    assert OFFER.resolve("company-documents") == "default"


def test_a_choice_names_its_model() -> None:
    assert OFFER.resolve("company-documents:ollama/llama3.2:1b") == "ollama/llama3.2:1b"
    assert OFFER.resolve("company-documents:bedrock") == "bedrock"


def test_every_listed_model_can_be_asked_and_is_named_for_people() -> None:
    listed = OFFER.listing()
    assert [entry["name"] for entry in listed] == [
        "Company documents",
        "Company documents - Bedrock",
        "Company documents - Ollama llama3.2:1b",
        "Company documents - Quotes",
    ]
    assert all(OFFER.resolve(entry["id"]) for entry in listed)


@pytest.mark.parametrize("model", ["", "gpt-4", "ollama/llama3.2:1b", "company-documents:ollama/other", "default"])
def test_what_is_not_offered_is_unknown(model: str) -> None:
    with pytest.raises(UnknownModel, match="company-documents"):
        OFFER.resolve(model)
