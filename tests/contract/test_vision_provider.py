"""What every reader of pages must do, run over each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO

import pytest
from PIL import Image, ImageDraw, ImageFont

from pipelines.errors import ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers.base import VisionProvider
from pipelines.providers.bedrock_vision import BedrockVision
from pipelines.providers.ollama_vision import OllamaVision
from pipelines.providers.openai_vision import OpenAICompatibleVision
from pipelines.providers.page_prompt import NO_TEXT
from pipelines.providers.tesseract import Tesseract, find_tesseract
from tests.fakes.aws import clean_environment
from tests.fakes.bedrock import MODEL_ERROR, REGION, running_bedrock
from tests.models import running_model_server
from tests.models.pages import page_png

PARALLEL = 3
NOWHERE = "http://127.0.0.1:9"
TEXT = "Travel by night train is paid for when the journey takes more than six hours."


def drawn(text: str) -> bytes:
    """A page as a scanner sees it."""
    page, image = Image.new("L", (1240, 500), 255), BytesIO()
    ImageDraw.Draw(page).multiline_text((80, 80), text, font=ImageFont.load_default(24), fill=0)
    page.save(image, "PNG", dpi=(150, 150))
    return image.getvalue()


def hidden(text: str) -> bytes:
    """A page as the model server and the Bedrock endpoint see it."""
    return page_png(text or NO_TEXT)


@dataclass(frozen=True, slots=True)
class Case:
    """A reader, a page with a text for it, the same reader with nothing behind it, and what fails in which way."""

    vision: VisionProvider
    page: Callable[[str], bytes]
    name: str
    unreachable: VisionProvider
    unknown: VisionProvider
    failing: VisionProvider
    broken: bytes = b""
    most_at_once: Callable[[], int] = lambda: PARALLEL


@pytest.fixture
async def ollama() -> AsyncIterator[Case]:
    async with running_model_server() as server:

        def model(name: str, url: str = server.url) -> OllamaVision:
            return OllamaVision(url, name, parallel=PARALLEL, timeout_s=10)

        yield Case(
            model("mock-vision-page20"),
            hidden,
            "ollama/mock-vision-page20",
            unreachable=model("mock-vision-page20", NOWHERE),
            unknown=model("no-such-model"),
            failing=model("mock-vision-page20-err"),
            most_at_once=lambda: server.stats.most_at_once,
        )


@pytest.fixture
async def openai() -> AsyncIterator[Case]:
    async with running_model_server() as server:

        def model(name: str, url: str = server.url) -> OpenAICompatibleVision:
            return OpenAICompatibleVision(f"{url}/v1", name, parallel=PARALLEL, timeout_s=10)

        yield Case(
            model("mock-vision-page20"),
            hidden,
            "openai/mock-vision-page20",
            unreachable=model("mock-vision-page20", NOWHERE),
            unknown=model("no-such-model"),
            failing=model("mock-vision-page20-err"),
            most_at_once=lambda: server.stats.most_at_once,
        )


@pytest.fixture
async def bedrock() -> AsyncIterator[Case]:
    async with running_bedrock() as server, running_bedrock() as ailing:
        server.page_s, ailing.refusal = 0.02, MODEL_ERROR

        def model(url: str, name: str = "anthropic.claude-haiku-4-5-20251001-v1:0") -> BedrockVision:
            return BedrockVision(name, region=REGION, endpoint_url=url, parallel=PARALLEL, timeout_s=10)

        with clean_environment():
            yield Case(
                model(server.url),
                hidden,
                "bedrock/anthropic.claude-haiku-4-5-20251001-v1:0",
                unreachable=model(NOWHERE),
                unknown=model(server.url, "NoSuchModel"),
                failing=model(ailing.url),
                most_at_once=lambda: server.most_at_once,
            )


@pytest.fixture
def tesseract() -> Case:
    found = find_tesseract(parallel=PARALLEL, timeout_s=30)
    assert found, "tests need tesseract: apt-get install tesseract-ocr"
    elsewhere = Tesseract("/nowhere/tesseract", parallel=PARALLEL, timeout_s=30)
    # Tesseract's models are its languages; without data for one it cannot be used at all.
    unknown = find_tesseract("xyz", parallel=PARALLEL, timeout_s=30)
    assert unknown
    return Case(found, drawn, "tesseract/eng", unreachable=elsewhere, unknown=unknown, failing=found, broken=b"no PNG")


@pytest.fixture(params=["ollama", "openai", "bedrock", "tesseract"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    made: Case = request.getfixturevalue(request.param)
    yield made if made.broken else replace(made, broken=made.page(TEXT))
    for vision in (made.vision, made.unreachable, made.unknown, made.failing):
        vision.close()


async def _read(vision: VisionProvider, image: bytes) -> str:
    return await asyncio.to_thread(vision.read_page, image)


async def test_returns_the_text_on_a_page(case: Case) -> None:
    assert await _read(case.vision, case.page(TEXT)) == TEXT


async def test_a_page_without_text_is_empty(case: Case) -> None:
    assert await _read(case.vision, case.page("")) == ""


async def test_says_who_reads(case: Case) -> None:
    assert (case.vision.name, case.vision.parallel) == (case.name, PARALLEL)


async def test_pages_are_read_side_by_side_and_no_more_than_it_says(case: Case) -> None:
    # Twice as many threads as places: two documents at the same time.
    texts = [f"This is page {number} of the travel policy." for number in range(2 * PARALLEL)]
    assert await asyncio.gather(*(_read(case.vision, case.page(text)) for text in texts)) == texts
    assert case.most_at_once() == PARALLEL


async def _error(vision: VisionProvider, image: bytes) -> RaglineError:
    with pytest.raises(RaglineError) as raised:
        await _read(vision, image)
    assert raised.value.message.endswith(".")
    return raised.value


async def test_says_what_to_do_when_it_cannot_be_reached(case: Case) -> None:
    error = await _error(case.unreachable, case.page(TEXT))
    assert type(error) is ModelUnavailable
    assert error.__cause__ is not None


async def test_says_that_it_does_not_have_the_model(case: Case) -> None:
    error = await _error(case.unknown, case.page(TEXT))
    assert isinstance(error, ModelUnavailable if case.name.startswith("tesseract") else UnknownModel)


async def test_a_model_that_fails_on_a_page_can_be_told_from_one_that_is_away(case: Case) -> None:
    assert type(await _error(case.failing, case.broken)) is ModelFailed


async def test_a_failure_leaves_the_place_free_for_the_next_page(case: Case) -> None:
    for _ in range(PARALLEL + 1):
        await _error(case.failing, case.broken)


async def test_is_closed_without_having_read(case: Case) -> None:
    case.vision.close()
