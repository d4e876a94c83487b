"""Ollama and OpenAI-compatible servers: their addresses go in; whether each model can be asked now comes out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx

from pipelines.bootstrap_models import open_provider
from pipelines.doctor.configured import models_of
from pipelines.doctor.finding import Finding, divided, failed, ok, refused, warning
from pipelines.errors import ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers.base import ChatProvider
from pipelines.settings import Settings

SUGGESTED = "llama3.2:3b"
"""What to pull where Ollama has no model at all: answers well over a few passages, in 4 GB of memory."""
TIMEOUT_S = 5.0


def look_at_ollama(settings: Settings) -> Iterator[Finding]:
    """Whether it answers, has the models, and makes room for prompts as long as ours."""
    yield from asyncio.run(_ollama(settings))


def look_at_openai(settings: Settings) -> Iterator[Finding]:
    """Whether it answers, takes the key and has the models."""
    yield from asyncio.run(_openai(settings))


async def _ollama(settings: Settings) -> list[Finding]:
    provider = open_provider(settings, "ollama").provider
    wanted = models_of(settings, "ollama")
    try:
        has = await provider.models()
        named = [model or next(iter(has), "") for model in wanted]
        return [await _ollama_model(settings, provider, model) for model in dict.fromkeys(named)]
    except ModelUnavailable as error:
        if wanted == [""]:
            # With LLM_PROVIDER=auto nobody has asked for Ollama.
            return [
                warning(
                    "ollama",
                    f"does not answer at {settings.ollama_base_url}: questions are answered with quotes",
                    f"start Ollama, and `ollama pull {SUGGESTED}`; or set LLM_PROVIDER",
                )
            ]
        return [refused("ollama", error)]
    finally:
        await provider.close()


async def _ollama_model(settings: Settings, provider: ChatProvider, model: str) -> Finding:
    if not model:
        return warning("ollama", "has no chat model: questions are answered with quotes", f"`ollama pull {SUGGESTED}`")
    part = f"ollama {model}"
    try:
        await provider.check(model)
    except UnknownModel:
        return failed(part, f"is not at {settings.ollama_base_url}", f"`ollama pull {model}`")
    return await _with_room(settings, part, model)


async def _with_room(settings: Settings, part: str, model: str) -> Finding:
    """Whether the model reads as much as is asked of it, and is loaded with that."""
    asked = settings.ollama_context_length
    async with httpx.AsyncClient(base_url=settings.ollama_base_url, timeout=TIMEOUT_S, trust_env=False) as client:
        reads, loaded = await asyncio.gather(_longest(client, model), _loaded(client, model))
    if reads is not None and reads < asked:
        return warning(part, f"reads {reads:,} tokens at most", f"set OLLAMA_CONTEXT_LENGTH={reads} (it is {asked})")
    if loaded not in (None, asked):
        return warning(
            part,
            f"is loaded with room for {loaded:,} tokens, and questions ask for {asked:,}: it is loaded anew for each",
            f"set OLLAMA_CONTEXT_LENGTH={loaded}, or have every client of this Ollama ask for {asked}",
        )
    # Ollama's API does not say how many it serves at once (0.12).
    together = f"asked for {settings.ollama_num_parallel} answers at once: OLLAMA_NUM_PARALLEL is to be the same there"
    return ok(part, f"is there{', and loaded' if loaded else ''}; {together}")


async def _longest(client: httpx.AsyncClient, model: str) -> int | None:
    """The longest context the model was made for; None where Ollama does not say it (`/api/show`)."""
    try:
        info = (await client.post("/api/show", json={"model": model})).json()["model_info"]
        return int(info[f"{info['general.architecture']}.context_length"])
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return None


async def _loaded(client: httpx.AsyncClient, model: str) -> int | None:
    """The tokens of context that Ollama runs the model with; None while it is not loaded (`/api/ps`)."""
    try:
        listed = (await client.get("/api/ps")).json()["models"]
        sizes = {str(entry["model"]): entry.get("context_length") for entry in listed}
    except (httpx.HTTPError, ValueError, LookupError, TypeError, AttributeError):
        return None
    found = sizes.get(model) or sizes.get(f"{model}:latest")
    return found if isinstance(found, int) and found > 0 else None


async def _openai(settings: Settings) -> list[Finding]:
    provider = open_provider(settings, "openai").provider
    try:
        has = await provider.models()
        named = [model or next(iter(has), "") for model in models_of(settings, "openai")]
        return [await _openai_model(settings, provider, model) for model in dict.fromkeys(named)]
    except RaglineError as error:
        return [refused("openai", error)]
    finally:
        await provider.close()


async def _openai_model(settings: Settings, provider: ChatProvider, model: str) -> Finding:
    if not model:
        return failed("openai", f"{settings.openai_base_url} has no model", "load one there, or set OPENAI_MODEL")
    try:
        await provider.check(model)
    except UnknownModel as error:
        return failed(
            f"openai {model}", divided(error.message)[0], "set OPENAI_MODEL to one that `ragline models` lists"
        )
    return ok(f"openai {model}", f"is at {settings.openai_base_url}")
