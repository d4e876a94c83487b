"""Which model an id means."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import pytest

from pipelines.answer.generate import model_directory
from pipelines.answer.generate.model_directory import ModelDirectory
from pipelines.domain import Message
from pipelines.errors import ModelUnavailable, UnknownModel
from pipelines.providers.base import ChatDelta, ChatProvider, GenerateOptions


class Having(ChatProvider):
    """A provider with these models; None when it does not answer."""

    def __init__(self, *models: str, up: bool = True) -> None:
        self.has: Sequence[str] = models
        self.up = up
        self.looked = 0

    def stream(
        self, model: str, messages: Sequence[Message], *, options: GenerateOptions
    ) -> AsyncGenerator[ChatDelta, None]:
        raise NotImplementedError

    async def check(self, model: str = "") -> None:
        await self.models()

    async def models(self) -> Sequence[str]:
        self.looked += 1
        if not self.up:
            raise ModelUnavailable("It does not answer.")
        return self.has


async def _default(*providers: tuple[str, Having], default: str, default_model: str = "") -> str:
    set_up = {"ollama" if default == "auto" else default: default_model}
    directory = ModelDirectory(dict(providers), default=default, set_up=set_up)
    return str(await directory.resolve("default"))


async def test_a_full_id_is_taken_as_it_is_and_not_looked_up() -> None:
    ollama = Having()
    directory = ModelDirectory({"ollama": ollama}, default="ollama")
    assert str(await directory.resolve("ollama/hf.co/org/model:Q4")) == "ollama/hf.co/org/model:Q4"
    assert ollama.looked == 0


@pytest.mark.parametrize("model_id", ["gpt-4", "nobody/model", "ollama/"])
async def test_an_id_nobody_serves_is_unknown(model_id: str) -> None:
    with pytest.raises(UnknownModel, match="default"):
        await ModelDirectory({"ollama": Having("a")}, default="ollama").resolve(model_id)


async def test_a_provider_alone_means_the_model_it_is_set_up_with() -> None:
    providers = {"ollama": Having("a"), "bedrock": Having("n")}
    directory = ModelDirectory(providers, default="ollama", set_up={"bedrock": "us.n"})
    assert str(await directory.resolve("bedrock")) == "bedrock/us.n"
    assert str(await directory.resolve("ollama")) == "ollama/a"


async def test_the_default_follows_the_settings() -> None:
    ollama, extractive = ("ollama", Having("a", "b")), ("extractive", Having("quotes"))
    assert await _default(ollama, extractive, default="ollama", default_model="c") == "ollama/c"
    assert await _default(ollama, extractive, default="ollama") == "ollama/a"
    assert await _default(ollama, extractive, default="extractive") == "extractive/quotes"


async def test_auto_takes_the_first_provider_that_answers_and_has_a_model() -> None:
    extractive = ("extractive", Having("quotes"))
    assert await _default(("ollama", Having("a")), extractive, default="auto") == "ollama/a"
    assert await _default(("ollama", Having()), extractive, default="auto") == "extractive/quotes"
    assert await _default(("ollama", Having("a", up=False)), extractive, default="auto") == "extractive/quotes"
    named = await _default(("ollama", Having("a", "b")), extractive, default="auto", default_model="b")
    assert named == "ollama/b"


async def test_auto_finds_a_model_that_is_named_without_its_tag() -> None:
    extractive = ("extractive", Having("quotes"))
    named = await _default(("ollama", Having("a:1b", "b:latest")), extractive, default="auto", default_model="b")
    assert named == "ollama/b"
    other = await _default(("ollama", Having("a:1b", "b:latest")), extractive, default="auto", default_model="a")
    assert other == "extractive/quotes"


async def test_nobody_having_a_model_is_said() -> None:
    with pytest.raises(ModelUnavailable, match="LLM_PROVIDER"):
        await _default(("ollama", Having(up=False)), default="auto")


async def test_a_choice_holds_for_a_while_and_is_then_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ollama, extractive = Having("a", up=False), Having("quotes")
    directory = ModelDirectory({"ollama": ollama, "extractive": extractive}, default="auto")
    assert str(await directory.resolve("default")) == "extractive/quotes"
    ollama.up = True
    assert str(await directory.resolve("")) == "extractive/quotes"
    assert ollama.looked == 1
    monkeypatch.setattr(model_directory, "_CHOICE_AGE_S", -1.0)
    assert str(await directory.resolve("default")) == "ollama/a"


async def test_that_there_is_no_model_holds_for_a_while_too(monkeypatch: pytest.MonkeyPatch) -> None:
    ollama = Having("a", up=False)
    directory = ModelDirectory({"ollama": ollama}, default="ollama")
    for _ in range(3):
        with pytest.raises(ModelUnavailable):
            await directory.resolve("default")
    assert ollama.looked == 1
    ollama.up = True
    monkeypatch.setattr(model_directory, "_CHOICE_AGE_S", -1.0)
    assert str(await directory.resolve("default")) == "ollama/a"


async def test_a_provider_that_is_known_to_be_away_is_not_looked_at() -> None:
    providers = {"ollama": Having("a"), "extractive": Having("quotes")}
    directory = ModelDirectory(providers, default="auto", away={"ollama"}.__contains__)
    assert str(await directory.resolve("default")) == "extractive/quotes"
    assert await directory.models() == ["default", "extractive/quotes"]
    assert providers["ollama"].looked == 0


async def test_lists_every_model_that_can_be_asked_now() -> None:
    providers = {"ollama": Having("a"), "openai": Having("b", up=False), "extractive": Having("quotes")}
    assert await ModelDirectory(providers, default="auto").models() == ["default", "ollama/a", "extractive/quotes"]
