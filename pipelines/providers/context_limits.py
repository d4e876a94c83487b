"""How servers say that a prompt is too long: what one said goes in, how much the model reads comes out."""

from __future__ import annotations

import re

from pipelines.errors import ContextTooLong

_TOO_LONG = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # Claude and others on Bedrock; the last is of models that count characters.
        *(r"input is too long", r"prompt is too long", r"exceed context limit", r"expected maxlength"),
        # Nova; Titan and Cohere on Bedrock.
        *(r"input tokens exceeded", r"number of input tokens exceeds", r"too many input tokens"),
        # OpenAI, vLLM, LiteLLM, and Llama on Bedrock.
        *(r"context_length_exceeded", r"maximum context length", r"context length is only"),
        *(r"too long to fit into the model", r"longer than the (?:maximum model length|model's context length)"),
        # llama.cpp; Ollama.
        *(r"exceeds the available context size", r"exceed(?:s|ed) (?:the |max |maximum )*context (?:length|window)"),
        # TGI.
        *(r"`inputs` must have less than", r"`max_new_tokens` must be <="),
    )
)
_NUMBER = r"(?P<tokens>\d[\d,]*)"
_LIMITS = tuple(
    re.compile(pattern.replace("#", _NUMBER), re.IGNORECASE)
    for pattern in (
        *(r"maximum input length of #", r"max(?:imum)? input (?:length|tokens)(?: is| of)?:? #"),
        *(r"> ?# maximum", r"exceed context limit:[^>]*> ?#"),
        *(r"context length(?: is| of| is only)? \(?#", r"with # maximum context length"),
        *(r"context size \(#", r"maximum model length of #"),
        *(r"must have less than #", r"must be <= #"),
    )
)
"""In this order: a longest prompt says more than a longest prompt with its answer."""


def says_too_long(said: str) -> bool:
    """Whether a server says with these words that the prompt is longer than what the model reads."""
    return any(pattern.search(said) for pattern in _TOO_LONG)


def context_too_long(model: str, said: str) -> ContextTooLong:
    """The error for a prompt of which a server said this, with the limit where it names one."""
    limit = limit_tokens(said)
    reads = f"reads {limit} tokens" if limit else "does not say how much it reads"
    return ContextTooLong(f"The prompt is too long for {model}, which {reads}.", limit_tokens=limit)


def limit_tokens(said: str) -> int | None:
    """The number of tokens that a server names as its longest prompt."""
    found = next((match for pattern in _LIMITS if (match := pattern.search(said))), None)
    return int(found["tokens"].replace(",", "")) if found else None
