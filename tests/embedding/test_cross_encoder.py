"""A small untrained cross-encoder on both back ends, against the scores of sentence-transformers itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sentence_transformers import CrossEncoder
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from pipelines.errors import DeadlineExceeded, SetupFailed
from pipelines.providers.base import RerankProvider
from pipelines.providers.cross_encoder import load_cross_encoder, prepare_cross_encoder
from pipelines.providers.rerank import choose_rerank
from pipelines.providers.sentence_transformers import PACKAGED_MODEL, model_folder

QUESTION = "What may a hotel in Berlin cost?"
TEXTS = (
    "A hotel in Berlin may cost 140 EUR a night.",
    "short",
    "",
    "A long text that is cut at the end of the window. " * 200,
    "東京の出張費はいくらですか。",
    "emoji 🚀 and \u200b hidden",
    "x" * 5000,
)


def make_cross_encoder(folder: Path, **settings: object) -> Path:
    """A cross-encoder with the tokenizer of the packaged model and random weights."""
    torch.manual_seed(7)
    tokenizer = AutoTokenizer.from_pretrained(model_folder(PACKAGED_MODEL))
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    window = {"vocab_size": len(tokenizer), "max_position_embeddings": 128, "initializer_range": 0.5}
    config = BertConfig.from_dict(size | window | {"num_labels": 1} | settings)
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cross_encoder(tmp_path_factory.mktemp("source") / "tiny-reranker")


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module", params=["onnx", "torch"])
def rerank(request: pytest.FixtureRequest, source: Path, models_dir: Path) -> RerankProvider:
    return load_cross_encoder(str(source), request.param, models_dir)


def test_the_scores_are_those_of_sentence_transformers(rerank: RerankProvider, source: Path) -> None:
    reference = CrossEncoder(str(source), device="cpu")
    for question in (QUESTION, "", "cost " * 300):
        expected = reference.predict([(question, text) for text in TEXTS], show_progress_bar=False)
        actual = rerank.rank(question, TEXTS, timeout_s=60)
        assert actual == pytest.approx(list(map(float, expected)), abs=1e-4)
        assert max(actual) - min(actual) > 0.01, "scores that are all alike prove nothing"


def test_a_model_saved_without_an_activation_is_brought_into_0_to_1(tmp_path: Path) -> None:
    settings = {"activation_fn": "torch.nn.modules.linear.Identity"}
    folder = make_cross_encoder(tmp_path / "logits", sentence_transformers=settings)
    reference = CrossEncoder(str(folder), device="cpu")
    assert isinstance(reference.activation_fn, torch.nn.Identity)
    pairs = [(QUESTION, text) for text in TEXTS]
    expected = reference.predict(pairs, activation_fn=torch.nn.Sigmoid(), show_progress_bar=False)
    actual = load_cross_encoder(str(folder), "torch", tmp_path).rank(QUESTION, TEXTS, timeout_s=60)
    assert actual == pytest.approx(list(map(float, expected)), abs=1e-4)


def test_the_time_is_looked_at_between_batches(rerank: RerankProvider) -> None:
    with pytest.raises(DeadlineExceeded, match=r"did not judge 300 passages within 0\.02 s"):
        rerank.rank(QUESTION, ["A long text that is cut. " * 50] * 300, timeout_s=0.02)


SERVE = """
import sys
from pathlib import Path
from pipelines.providers.cross_encoder import load_cross_encoder
load_cross_encoder(sys.argv[1], "onnx", Path(sys.argv[2])).rank("x", ["y"], timeout_s=60)
loaded = {"torch", "transformers", "sentence_transformers"} & set(sys.modules)
sys.exit(f"loaded {loaded}" if loaded else 0)
"""


def test_an_exported_model_is_exported_once_and_served_without_torch(source: Path, models_dir: Path) -> None:
    folder = prepare_cross_encoder(str(source), "onnx", models_dir)
    exported = (folder / "model.onnx").stat()
    subprocess.run([sys.executable, "-c", SERVE, str(source), str(models_dir)], check=True, timeout=60)
    assert (folder / "model.onnx").stat() == exported


def test_a_damaged_export_says_what_to_do(source: Path, models_dir: Path, tmp_path: Path) -> None:
    good = prepare_cross_encoder(str(source), "onnx", models_dir)
    bad = shutil.copytree(good, tmp_path / good.name)
    (bad / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(SetupFailed, match="damaged: delete that folder"):
        load_cross_encoder(str(source), "onnx", tmp_path)


def test_a_model_with_several_labels_is_refused(tmp_path: Path) -> None:
    folder = make_cross_encoder(tmp_path / "classes", num_labels=3)
    with pytest.raises(SetupFailed, match="3 labels"):
        prepare_cross_encoder(str(folder), "onnx", tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_a_folder_whose_weights_are_missing_is_refused(source: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(source, tmp_path / "empty", ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(SetupFailed, match="cannot be loaded"):
        prepare_cross_encoder(str(folder), "onnx", tmp_path)


def test_the_setting_chooses_who_reranks(source: Path, models_dir: Path) -> None:
    def chosen(model: str) -> RerankProvider | None:
        return choose_rerank(model, region="", backend="onnx", models_dir=models_dir, threads=1, timeout_s=0.5)

    names = [provider.name if provider else None for provider in map(chosen, ("", str(source), "bedrock/cohere.x"))]
    assert names[0] is None
    assert (names[1] or "").startswith("cross-encoder/tiny-reranker@")
    assert names[2] == "bedrock/cohere.x"
    with pytest.raises(SetupFailed, match="neither bedrock/<model> nor a folder"):
        chosen("no-such-model")


def test_the_card_of_an_export_says_its_model(source: Path, models_dir: Path) -> None:
    folder = prepare_cross_encoder(str(source), "onnx", models_dir)
    assert json.loads((folder / "card.json").read_text("utf-8"))["max_tokens"] == 128
