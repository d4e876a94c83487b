"""What servers say of a prompt that is too long, in the words in which they do."""

from __future__ import annotations

import pytest

from pipelines.providers.context_limits import context_too_long, limit_tokens, says_too_long

SAID = [
    ("Input is too long for requested model.", None),
    ("The model returned the following errors: prompt is too long: 200049 tokens > 200000 maximum", 200_000),
    ("input length and `max_tokens` exceed context limit: 90402 + 116650 > 204648, decrease input length", 204_648),
    ("Input Tokens Exceeded: Number of input tokens exceeds maximum length. Please update the input.", None),
    ("Too many input tokens. Max input tokens: 8192, request input token count: 10400", 8_192),
    ("Malformed input request: expected maxLength: 42000, actual: 50000, please reformat your input", None),
    ("This model's maximum context length is 8,192 tokens. Please reduce the length of the prompt", 8_192),
    (
        "You passed 4097 input tokens and requested 16 output tokens. However, the model's context length is only 4096 "
        "tokens, resulting in a maximum input length of 4080 tokens.",
        4_080,
    ),
    ("The decoder prompt (length 25938) is longer than the maximum model length of 4096.", 4_096),
    ("The prompt (total length 25938) is too long to fit into the model (context length 4096).", 4_096),
    ("The input (516368 tokens) is longer than the model's context length (262144 tokens).", 262_144),
    ("Prompt contains 300000 tokens and 0 images, too large for model with 262144 maximum context length", 262_144),
    ("request (20001 tokens) exceeds the available context size (8192 tokens), try increasing it", 8_192),
    ("input length exceeds maximum context length", None),
    ("the input length exceeds the context length", None),
    ("prompt too long; exceeded max context length by 4 tokens", None),
    ("`inputs` tokens + `max_new_tokens` must be <= 2048. Given: 3474 `inputs` tokens", 2_048),
    ("`inputs` must have less than 1024 tokens. Given: 3474", 1_024),
]


@pytest.mark.parametrize(("said", "limit"), SAID)
def test_knows_the_words_and_the_limit_in_them(said: str, limit: int | None) -> None:
    assert says_too_long(said)
    assert limit_tokens(said) == limit


@pytest.mark.parametrize(
    "said",
    [
        "Too many requests, please wait before trying again.",
        "Too many tokens, please wait before trying again.",
        "max_tokens must be at least 1",
        "The model is too large for this machine",
        "The image is too long",
    ],
)
def test_other_refusals_are_not_about_the_prompts_length(said: str) -> None:
    assert not says_too_long(said)


def test_the_error_says_what_the_model_reads() -> None:
    known, unknown = context_too_long("llama", SAID[1][0]), context_too_long("llama", SAID[0][0])
    assert known.message == "The prompt is too long for llama, which reads 200000 tokens."
    assert unknown.message == "The prompt is too long for llama, which does not say how much it reads."
