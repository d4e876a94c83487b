"""What a model wants to read before a question and before a document: its name goes in, the two texts come out.

Models trained with such words find worse without them, and say nothing about it. Their providers add none: Ollama and
the OpenAI-compatible servers pass on what they are given. Those of Bedrock have a parameter for it instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prefixes:
    """The words before a question, and those before a document."""

    question: str = ""
    document: str = ""


_RELEVANT_PASSAGES = "Represent this sentence for searching relevant passages: "
_QWEN3_TASK = "Given a web search query, retrieve relevant passages that answer the query"

# The first that a model's name has in it. Each is what the model's card says; those of models that want none
# (all-minilm, bge-m3, granite-embedding, text-embedding-3) are not here.
FAMILIES = (
    # https://huggingface.co/nomic-ai/nomic-embed-text-v1.5, and v2-moe
    ("nomic-embed-text", Prefixes("search_query: ", "search_document: ")),
    # https://huggingface.co/mixedbread-ai/mxbai-embed-large-v1
    ("mxbai-embed", Prefixes(_RELEVANT_PASSAGES)),
    # https://huggingface.co/Snowflake/snowflake-arctic-embed-l-v2.0, and then the first version
    ("snowflake-arctic-embed2", Prefixes("query: ")),
    ("snowflake-arctic-embed-[ml]-v2", Prefixes("query: ")),
    ("snowflake-arctic-embed", Prefixes(_RELEVANT_PASSAGES)),
    # https://huggingface.co/BAAI/bge-large-en-v1.5
    ("bge-(small|base|large)(?!-zh)", Prefixes(_RELEVANT_PASSAGES)),
    # https://huggingface.co/intfloat/multilingual-e5-large-instruct, and then e5 without instructions
    ("e5-[a-z0-9-]*instruct", Prefixes(f"Instruct: {_QWEN3_TASK}\nQuery: ")),
    (r"\be5-(small|base|large)", Prefixes("query: ", "passage: ")),
    # https://huggingface.co/Qwen/Qwen3-Embedding-0.6B
    ("qwen3-embedding", Prefixes(f"Instruct: {_QWEN3_TASK}\nQuery:")),
    # https://ai.google.dev/gemma/docs/embeddinggemma/model_card
    ("embeddinggemma", Prefixes("task: search result | query: ", "title: none | text: ")),
)


def prefixes_for(model: str) -> Prefixes:
    """The prefixes of the family that a model's name belongs to; none where it is of no family known here."""
    name = model.casefold()
    return next((prefixes for family, prefixes in FAMILIES if re.search(family, name)), Prefixes())
