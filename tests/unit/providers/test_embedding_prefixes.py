"""Which words are put before questions and documents, by the names under which models are served."""

from __future__ import annotations

import pytest

from pipelines.providers.embedding_prefixes import Prefixes, prefixes_for

PASSAGES = "Represent this sentence for searching relevant passages: "


@pytest.mark.parametrize(
    ("model", "question", "document"),
    [
        ("nomic-embed-text:latest", "search_query: ", "search_document: "),
        ("nomic-ai/nomic-embed-text-v1.5", "search_query: ", "search_document: "),
        ("mxbai-embed-large", PASSAGES, ""),
        ("snowflake-arctic-embed:335m", PASSAGES, ""),
        ("snowflake-arctic-embed2", "query: ", ""),
        ("Snowflake/snowflake-arctic-embed-l-v2.0", "query: ", ""),
        ("BAAI/bge-large-en-v1.5", PASSAGES, ""),
        ("intfloat/multilingual-e5-large", "query: ", "passage: "),
        ("embeddinggemma:300m", "task: search result | query: ", "title: none | text: "),
    ],
)
def test_a_model_gets_the_words_it_was_trained_with(model: str, question: str, document: str) -> None:
    assert prefixes_for(model) == Prefixes(question, document)


@pytest.mark.parametrize("model", ["qwen3-embedding:0.6b", "Qwen/Qwen3-Embedding-8B", "multilingual-e5-large-instruct"])
def test_a_model_that_takes_an_instruction_gets_it_before_questions_only(model: str) -> None:
    prefixes = prefixes_for(model)
    assert prefixes.question.startswith("Instruct: Given a web search query, ")
    assert "\nQuery:" in prefixes.question
    assert prefixes.document == ""


@pytest.mark.parametrize(
    "model", ["all-minilm", "bge-m3", "granite-embedding:278m", "text-embedding-3-small", "bge-large-zh-v1.5", "own"]
)
def test_other_models_get_none(model: str) -> None:
    assert prefixes_for(model) == Prefixes()
