"""Any sentence-transformers cross-encoder as the reranker: a question and texts in, their relevance out.

It is run as the embedding model is: an ONNX graph that is exported once, with torch, and served without it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt

from pipelines.errors import DeadlineExceeded, SetupFailed
from pipelines.providers.base import RerankProvider
from pipelines.providers.onnx_graph import CARD, DAMAGED, GRAPH, TOKENIZER, Batch, OnnxGraph, batches, padded
from pipelines.providers.sentence_transformers import Backend, exported_folder
from pipelines.providers.token_counter import make_tokenizer

CHARS_PER_TOKEN = 16
"""No language has tokens as long as that on average: what is longer need not be tokenised to be cut off."""

Forward = Callable[[Batch], npt.NDArray[np.float32]]
"""Runs the whole model on one batch of pairs; its logits, float32 of shape (batch, 1), come out."""


@dataclass(frozen=True, slots=True)
class PairCard:
    """What has to be known about a cross-encoder besides its graph and its tokenizer."""

    name: str
    max_tokens: int
    pad_id: int
    inputs: tuple[str, ...]


def load_cross_encoder(model: str, backend: Backend, models_dir: Path, *, threads: int = 1) -> RerankProvider:
    """Load the cross-encoder in the folder `model`, preparing it first if `prepare_cross_encoder` has not been run.

    Raises:
        SetupFailed: the model or a package it needs is missing or broken, or the model is of an unsupported kind.
    """
    folder = prepare_cross_encoder(model, backend, models_dir)
    if backend == "torch":
        loaded: RerankProvider = _import_torch_side("EMBEDDING_BACKEND=torch").load_torch(folder, threads=threads)
        return loaded
    return load_onnx(folder, threads=threads)


def prepare_cross_encoder(model: str, backend: Backend, models_dir: Path) -> Path:
    """Do what must be done once before `model` can be loaded; return the folder it is then loaded from.

    For `onnx` this exports the model into `models_dir`, unless that has been done for the same weights.

    Raises:
        SetupFailed: as for `load_cross_encoder`.
    """
    source = Path(model).expanduser().resolve()
    if not (source / "config.json").is_file():
        raise SetupFailed(
            f"RERANK_MODEL={model} is neither bedrock/<model> nor a folder with a sentence-transformers cross-encoder."
        )
    if backend == "torch":
        return source
    target = exported_folder(source, models_dir)
    if not (target / GRAPH).is_file():
        _import_torch_side("Preparing a cross-encoder").export_cross_encoder(source, target)
    return target


class CrossEncoder(RerankProvider):
    """Tokenises pairs and runs them in small batches; `forward` is the model itself, whichever back end runs it."""

    def __init__(self, card: PairCard, tokenizer_json: str, forward: Forward) -> None:
        self.name = card.name
        self._card = card
        self._forward = forward
        # Of a pair that is too long the longer text is cut first: sentence-transformers does it, and so does this.
        self._tokenizer = make_tokenizer(tokenizer_json, truncate_to=card.max_tokens)

    def rank(self, question: str, texts: Sequence[str], *, timeout_s: float) -> Sequence[float]:
        deadline = time.monotonic() + timeout_s
        longest = self._card.max_tokens * CHARS_PER_TOKEN
        pairs = self._tokenizer.encode_batch([(question[:longest], text[:longest]) for text in texts])
        logits = np.zeros(len(texts), dtype=np.float32)
        for batch in batches(pairs):
            # A batch cannot be stopped: it is small, and it is not begun when the time is up.
            if time.monotonic() >= deadline:
                raise DeadlineExceeded(f"{self.name} did not judge {len(texts)} passages within {timeout_s:g} s.")
            inputs = padded([pairs[position] for position in batch], self._card.inputs, self._card.pad_id)
            logits[batch] = self._forward(inputs).reshape(len(batch))
        if time.monotonic() >= deadline:
            raise DeadlineExceeded(f"{self.name} took more than {timeout_s:g} s for {len(texts)} passages.")
        return [float(score) for score in _sigmoid(logits)]


def load_onnx(folder: Path, *, threads: int) -> CrossEncoder:
    """Load the cross-encoder that was exported into `folder`; raises `SetupFailed` where it is damaged."""
    try:
        card = PairCard(**json.loads((folder / CARD).read_text("utf-8")))
        tokenizer_json = (folder / TOKENIZER).read_text("utf-8")
        forward = OnnxGraph(folder / GRAPH, output="score", threads=threads)
    except DAMAGED as error:
        raise SetupFailed(f"The exported cross-encoder in {folder} is damaged: delete that folder.") from error
    return CrossEncoder(card, tokenizer_json, forward)


def _sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The logistic function without overflow.

    It is the default activation of sentence-transformers for one label; models saved with none, such as those of
    MS MARCO, are ordered alike by it, and brought into 0 to 1.
    """
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), dtype=np.float32)


def _import_torch_side(what: str) -> ModuleType:
    # Imported late: torch takes seconds and hundreds of megabytes, and serving needs it not.
    try:
        from pipelines.providers import cross_encoder_torch
    except ImportError as error:
        raise SetupFailed(
            f"{what} needs torch and sentence-transformers, which are not here: install the extra `models`, or prepare "
            "the model where they are, and with EMBEDDING_BACKEND=onnx set MODELS_DIR to a copy of that folder."
        ) from error
    return cross_encoder_torch
