"""The side of the cross-encoder that needs torch: a model's folder in, an exported model or a loaded one out.

Nothing imports this module until a model has to be exported or the torch back end is asked for.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import CrossEncoder as VendorCrossEncoder
from transformers.utils import logging as transformers_logging

from pipelines.errors import SetupFailed
from pipelines.providers.cross_encoder import CrossEncoder, PairCard, load_onnx
from pipelines.providers.onnx_graph import CARD, GRAPH, TOKENIZER, Batch
from pipelines.providers.sentence_transformers import fingerprint, model_name
from pipelines.providers.sentence_transformers_torch import export_graph, whole_or_not_at_all

SAME_SCORE = 1e-3
"""The difference of relevance up to which an exported model counts as the same model."""

CHECK_QUESTION = "What may a hotel cost?"
CHECK_TEXTS = ("A hotel may cost 140 EUR a night.", "A long text is cut. " * 400, "", "東京の出張費", "Ärger, naïve")


def load_torch(folder: Path, *, threads: int) -> CrossEncoder:
    """Load the model in `folder` to be run by torch; raises `SetupFailed` as `load_cross_encoder` does."""
    model = _load(folder)
    torch.set_num_threads(threads)

    def forward(inputs: Batch) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            output = model({name: torch.from_numpy(values) for name, values in inputs.items()})
        logits: npt.NDArray[np.float32] = output["scores"].float().numpy()
        return logits

    return CrossEncoder(_card(model, folder), _tokenizer_json(model), forward)


def export_cross_encoder(source: Path, target: Path) -> None:
    """Export the model in `source` as ONNX into the folder `target`, which is there whole or not at all.

    Raises:
        SetupFailed: the model is of an unsupported kind, or its export gives other scores.
    """
    model = _load(source)
    with whole_or_not_at_all(target) as draft:
        export_graph(model, _inputs(model), "scores", draft / GRAPH, output="score")
        (draft / TOKENIZER).write_text(_tokenizer_json(model), "utf-8")
        (draft / CARD).write_text(json.dumps(asdict(_card(model, source)), indent=1), "utf-8")
        _refuse_other_scores(draft, model)


def _load(folder: Path) -> VendorCrossEncoder:
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers does not annotate it
    try:
        model = VendorCrossEncoder(str(folder), device="cpu", local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise SetupFailed(f"The cross-encoder in {folder} cannot be loaded: {error}") from error
    _refuse_unsupported(model, folder)
    return model.eval()


def _refuse_unsupported(model: VendorCrossEncoder, folder: Path) -> None:
    kinds = [type(module).__name__ for module in model]
    if kinds != ["Transformer"]:
        raise SetupFailed(f"The cross-encoder in {folder} has the parts {', '.join(kinds)}, which is not supported.")
    if model.num_labels != 1:
        raise SetupFailed(
            f"The cross-encoder in {folder} has {model.num_labels} labels; only one score for a pair is supported."
        )
    if model.default_prompt_name:
        raise SetupFailed(f"The cross-encoder in {folder} has a prompt of its own, which is not supported.")
    if getattr(model.tokenizer, "backend_tokenizer", None) is None:
        raise SetupFailed(f"The cross-encoder in {folder} has no fast tokenizer, which is not supported.")
    unknown = set(_inputs(model)) - {"input_ids", "attention_mask", "token_type_ids"}
    if unknown:
        raise SetupFailed(f"The cross-encoder in {folder} wants the inputs {sorted(unknown)}: not supported.")


def _inputs(model: VendorCrossEncoder) -> tuple[str, ...]:
    return tuple(model.tokenizer.model_input_names)


def _card(model: VendorCrossEncoder, folder: Path) -> PairCard:
    return PairCard(
        name=f"cross-encoder/{model_name(folder)}@{fingerprint(folder)}",
        max_tokens=int(model.max_seq_length or 512),
        pad_id=int(model.tokenizer.pad_token_id or 0),
        inputs=_inputs(model),
    )


def _tokenizer_json(model: VendorCrossEncoder) -> str:
    # From the loaded tokenizer, not from the folder: loading applies the settings of tokenizer_config.json.
    serialised: str = model.tokenizer.backend_tokenizer.to_str()
    return serialised


def _refuse_other_scores(exported: Path, model: VendorCrossEncoder) -> None:
    pairs = [(CHECK_QUESTION, text) for text in CHECK_TEXTS]
    expected = model.predict(pairs, activation_fn=torch.nn.Sigmoid(), show_progress_bar=False)
    actual = load_onnx(exported, threads=1).rank(CHECK_QUESTION, CHECK_TEXTS, timeout_s=600)
    difference = float(np.abs(np.asarray(actual) - expected).max())
    if not difference < SAME_SCORE:
        raise SetupFailed(
            f"The ONNX export of the cross-encoder gives other scores (by {difference:.4f}); "
            "set EMBEDDING_BACKEND=torch."
        )
