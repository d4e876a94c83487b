"""The side of the embedding provider that needs torch: a model's folder in, an exported model or a loaded one out.

Nothing imports this module until a model has to be exported or the torch back end is asked for.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers.utils import logging as transformers_logging

from pipelines.errors import SetupFailed
from pipelines.providers.onnx_graph import CARD, GRAPH, QUESTION_GRAPH, TOKENIZER, Batch
from pipelines.providers.sentence_transformers import (
    VECTOR,
    ModelCard,
    SentenceTransformersEmbedding,
    fingerprint,
    load_onnx,
    model_name,
)

SAME_VECTOR = 0.9999
"""The cosine from which an exported model counts as the same model."""
NEAR_VECTOR = 0.96
"""The cosine from which a quantised model is good enough to search with (MiniLM: 0.98 to 0.995 for questions, 0.969
for a text as long as the window)."""

CHECK_TEXTS = (
    "What may a hotel cost?",
    "A long text is cut. " * 400,
    "",
    "東京の出張費はいくらですか。",
    "Ärger, naïve",
)


def load_torch(folder: Path, *, threads: int) -> SentenceTransformersEmbedding:
    """Load the model in `folder` to be run by torch; raises `SetupFailed` as `load_embedding` does."""
    model = _load(folder)
    torch.set_num_threads(threads)

    def forward(inputs: Batch) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            output = model({name: torch.from_numpy(values) for name, values in inputs.items()})
        vectors: npt.NDArray[np.float32] = output["sentence_embedding"].float().numpy()
        return vectors

    return SentenceTransformersEmbedding(_card(model, folder), _tokenizer_json(model), forward)


def export_model(source: Path, target: Path) -> None:
    """Export the model in `source` as ONNX into the folder `target`, which is there whole or not at all.

    Raises:
        SetupFailed: the model is of an unsupported kind, or its export gives other vectors.
    """
    model = _load(source)
    with whole_or_not_at_all(target) as draft:
        export_graph(model, _inputs(model), "sentence_embedding", draft / GRAPH, output=VECTOR)
        (draft / TOKENIZER).write_text(_tokenizer_json(model), "utf-8")
        _write_card(draft, _card(model, source))
        _refuse_other_vectors(draft, model)
        _add_question_graph(draft, _card(model, source))


@contextmanager
def whole_or_not_at_all(target: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `target` when nothing was raised."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="export-") as temporary:
        draft = Path(temporary) / target.name
        draft.mkdir()
        yield draft
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)


def export_graph(model: torch.nn.Module, names: Sequence[str], part: str, path: Path, *, output: str) -> None:
    """Write the whole of `model` as one graph with free batch and length.

    The inputs called `names` go in; what `model` gives under the key `part` comes out, under the name `output`.
    This is torch's current exporter. Its predecessor (dynamo=False) is deprecated, and freezes the branches that its
    example happens to take; it would save the package onnxscript and a few seconds, once.
    """

    class WholeModel(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, values: list[torch.Tensor]) -> torch.Tensor:
            result: torch.Tensor = self.model(dict(zip(names, values, strict=True)))[part]
            return result

    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with warnings.catch_warnings(), torch.inference_mode():
        # torch 2.13 warns of its own use of a deprecated pytree class; nothing here can act on it.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            WholeModel().eval(),
            ([torch.ones((2, 8), dtype=torch.int64) for _ in names],),
            str(path),
            input_names=list(names),
            output_names=[output],
            dynamic_shapes=([free for _ in names],),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _add_question_graph(draft: Path, card: ModelCard) -> None:
    """Quantise the model for questions, unless it loses by it.

    A question is embedded while a reader waits, and eight bits halve what that costs, while the order of what is
    found stays (`tests/evals/README.md`). Weights take 7 of the bits, so that processors without VNNI do not saturate
    and all give the same vectors: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """
    exact = load_onnx(draft, threads=1).embed(CHECK_TEXTS, input_type="question")
    # It advises, on the root logger, to run a pre-processing that is meant for images (onnxruntime 1.31).
    logging.disable(logging.WARNING)
    try:
        quantize_dynamic(
            draft / GRAPH, draft / QUESTION_GRAPH, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8
        )
    finally:
        logging.disable(logging.NOTSET)
    fast = load_onnx(draft, threads=1).embed(CHECK_TEXTS, input_type="question")
    is_near = float((fast * exact).sum(axis=1).min()) > NEAR_VECTOR
    if not is_near:
        (draft / QUESTION_GRAPH).unlink()
    _write_card(draft, replace(card, fast_questions=is_near))


def _write_card(draft: Path, card: ModelCard) -> None:
    (draft / CARD).write_text(json.dumps(asdict(card), indent=1), "utf-8")


def _load(folder: Path) -> SentenceTransformer:
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers does not annotate it
    try:
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise SetupFailed(f"The embedding model in {folder} cannot be loaded: {error}") from error
    _refuse_unsupported(model, folder)
    return model.eval()


def _refuse_unsupported(model: SentenceTransformer, folder: Path) -> None:
    kinds = [type(module).__name__ for module in model]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise SetupFailed(f"The embedding model in {folder} has the parts {', '.join(kinds)}, which is not supported.")
    pooling = cast("Pooling", model[1]).get_config_dict()
    if pooling["pooling_mode"] not in ("mean", "cls") or not pooling["include_prompt"]:
        raise SetupFailed(
            f"The embedding model in {folder} pools by {pooling['pooling_mode']}; only mean and cls are supported."
        )
    if getattr(model.tokenizer, "backend_tokenizer", None) is None:
        raise SetupFailed(f"The embedding model in {folder} has no fast tokenizer, which is not supported.")
    unknown = set(_inputs(model)) - {"input_ids", "attention_mask", "token_type_ids"}
    if unknown:
        raise SetupFailed(f"The embedding model in {folder} wants the inputs {sorted(unknown)}: not supported.")


def _inputs(model: SentenceTransformer) -> tuple[str, ...]:
    return tuple(model.tokenizer.model_input_names)


def _card(model: SentenceTransformer, folder: Path) -> ModelCard:
    prompts = model.prompts
    return ModelCard(
        name=f"sentence-transformers/{model_name(folder)}@{fingerprint(folder)}",
        dimensions=int(model.get_embedding_dimension() or 0),
        max_tokens=int(model.max_seq_length or 512),
        pad_id=int(model.tokenizer.pad_token_id or 0),
        inputs=_inputs(model),
        question_prefix=prompts.get("query") or "",
        document_prefix=prompts.get("document") or prompts.get("passage") or "",
    )


def _tokenizer_json(model: SentenceTransformer) -> str:
    # From the loaded tokenizer, not from the folder: loading applies the settings of tokenizer_config.json.
    serialised: str = model.tokenizer.backend_tokenizer.to_str()
    return serialised


def _refuse_other_vectors(exported: Path, model: SentenceTransformer) -> None:
    expected = model.encode_document(list(CHECK_TEXTS), normalize_embeddings=True, show_progress_bar=False)
    actual = load_onnx(exported, threads=1).embed(CHECK_TEXTS, input_type="document")
    cosine = float((actual * expected).sum(axis=1).min())
    if not cosine > SAME_VECTOR:
        raise SetupFailed(
            f"The ONNX export of the embedding model gives other vectors (cosine {cosine:.4f}); "
            "set EMBEDDING_BACKEND=torch."
        )
