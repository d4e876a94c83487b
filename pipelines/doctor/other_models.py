"""The models beside the one that answers: embedding, vision and rerank models each do one small piece of work."""

from __future__ import annotations

import io
from collections.abc import Iterator

from pipelines.bootstrap_documents import load_configured_embedding
from pipelines.doctor.bedrock import invoke_permission
from pipelines.doctor.finding import Finding, divided, failed, ok, warning
from pipelines.doctor.iam import remedy, vendor_error
from pipelines.errors import RaglineError
from pipelines.providers.rerank import choose_rerank
from pipelines.providers.sentence_transformers import prepared_folder
from pipelines.providers.vision import choose_vision
from pipelines.settings import Settings

_REMOTE = ("ollama/", "bedrock/", "openai/")
TIMEOUT_S = 8.0


def look_at_embedding(settings: Settings) -> Iterator[Finding]:
    """Whether it loads, or answers, and gives vectors of the length that it says."""
    part, model = f"embedding {settings.embedding_model}", settings.embedding_model
    try:
        if _would_export(settings):
            yield warning(part, f"is not prepared in {settings.models_dir} yet", "starting the stack does it, once")
            return
        provider = load_configured_embedding(settings)
        vectors = provider.embed(["How much leave do I have?"], input_type="question")
    except RaglineError as error:
        yield _refused(part, error, model, settings)
        return
    yield ok(part, f"gives vectors of {vectors.shape[1]} numbers, reads {provider.max_tokens} tokens at once")


def look_at_rerank(settings: Settings) -> Iterator[Finding]:
    """Whether it judges two sentences."""
    part, model = f"rerank {settings.rerank_model}", settings.rerank_model
    try:
        provider = choose_rerank(
            model,
            region=settings.aws_region,
            backend=settings.embedding_backend,
            models_dir=settings.models_dir,
            threads=settings.embedding_threads,
            timeout_s=TIMEOUT_S,
        )
        if provider is None:
            return
        try:
            provider.rank("How much leave?", ["Thirty days of leave.", "Lunch is at noon."], timeout_s=TIMEOUT_S)
        finally:
            provider.close()
    except RaglineError as error:
        yield _refused(part, error, model, settings)
        return
    yield ok(part, "ordered two sentences")


def look_at_vision(settings: Settings) -> Iterator[Finding]:
    """Whether it reads a blank page; a model on a CPU may take longer than is waited for here."""
    named = settings.vision_model
    part = f"vision {named}".rstrip()
    try:
        provider = choose_vision(settings, cores=1)
        if provider is None:
            yield warning(
                part,
                "nobody reads pages that are images: such documents are refused",
                "install Tesseract (`apt install tesseract-ocr`), or set VISION_MODEL",
            )
            return
        try:
            provider.read_page(_blank_page())
        finally:
            provider.close()
    except RaglineError as error:
        yield _refused(part, error, named, settings)
        return
    yield ok(part if named else f"vision {provider.name}", "read a page")


def _would_export(settings: Settings) -> bool:
    """Whether loading the model would write its graph first, which takes a minute."""
    model = settings.embedding_model
    if settings.embedding_backend != "onnx" or model.startswith(_REMOTE):
        return False
    return prepared_folder(model, settings.models_dir) is None


def _refused(part: str, error: RaglineError, model: str, settings: Settings) -> Finding:
    seen, advice = divided(error.message)
    provider, _, name = model.partition("/")
    if provider == "ollama" and error.code == "model_not_found":
        return failed(part, seen, f"`ollama pull {name}`")
    if provider == "bedrock" and vendor_error(error):
        return failed(part, seen, remedy(error, invoke_permission(name, settings.aws_region)) or advice)
    return failed(part, seen, advice or "look at the setting that names it")


def _blank_page() -> bytes:
    from PIL import Image

    page = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(page, "PNG")
    return page.getvalue()
