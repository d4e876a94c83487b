"""A text in, its tokens' number out, in any process: this imports neither a model nor what runs one."""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts as the model does: what is pickled is the tokenizer's file, which is loaded once in a process."""

    model: str
    tokenizer_json: str
    prefix: str

    def __call__(self, text: str) -> int:
        tokenizer = _COUNTING.get(self.model)
        if tokenizer is None:
            tokenizer = _COUNTING[self.model] = make_tokenizer(self.tokenizer_json, truncate_to=None)
        return len(tokenizer.encode(self.prefix + text).ids)


def whole_characters(text: str) -> str:
    """The text with a question mark for each half of a surrogate pair, which no tokenizer and no JSON takes."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def make_tokenizer(tokenizer_json: str, *, truncate_to: int | None) -> Tokenizer:
    """The tokenizer of this file, which pads nothing and cuts at `truncate_to` tokens or not at all."""
    tokenizer = Tokenizer.from_str(tokenizer_json)
    # The file may ask for padding to a fixed length; batches are padded here, to their longest text.
    tokenizer.no_padding()
    if truncate_to is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(truncate_to)
    return tokenizer


_COUNTING: dict[str, Tokenizer] = {}
"""The tokenizers that this process counts with, by the name of their model."""
