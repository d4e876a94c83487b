"""Pages read side by side: how many, in what order, how often, and what becomes of those that cannot be read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from math import ceil
from threading import Event, Lock, Timer

import pytest

from pipelines.errors import (
    Busy,
    DeadlineExceeded,
    DocumentTooCostly,
    ModelFailed,
    ModelUnavailable,
    RaglineError,
    StoreUnavailable,
    UnknownModel,
    UnreadableDocument,
)
from pipelines.ingest.transcribe import AHEAD, Patience, Transcription, transcribe_pages
from pipelines.providers.base import VisionProvider
from pipelines.providers.ollama_vision import OllamaVision
from tests.models import ModelServer, running_model_server
from tests.models.pages import page_png

HASTE = Patience(busy=4, failed=2, longest_wait_s=0.01)


class Reader(VisionProvider):
    """Reads a page by what `read` says of it, which may raise."""

    name = "a reader"

    def __init__(self, read: Callable[[int], str] = lambda page: f"Page {page}", *, parallel: int = 4) -> None:
        self.parallel = parallel
        self.tries: list[int] = []
        self.at_once = self.most_at_once = 0
        self._read = read
        self._lock = Lock()

    def read_page(self, image: bytes) -> str:
        page = int(image)
        with self._lock:
            self.tries.append(page)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return self._read(page)
        finally:
            with self._lock:
                self.at_once -= 1


def _image(page: int) -> bytes:
    return str(page).encode()


def _failing(errors: dict[int, list[RaglineError]]) -> Callable[[int], str]:
    """Raises a page's errors, one with each try, then reads it."""

    def read(page: int) -> str:
        if errors.get(page):
            raise errors[page].pop(0)
        return f"Page {page}"

    return read


def test_every_page_is_read_and_comes_back_by_its_number() -> None:
    def slow_first(page: int) -> str:
        time.sleep(0.05 / page)
        return f"Page {page}"

    done: list[int] = []
    reader = Reader(slow_first, parallel=4)
    result = transcribe_pages([9, 1, 5, 3, 4], _image, reader, on_page=done.append)
    assert result == Transcription({page: f"Page {page}" for page in (1, 3, 4, 5, 9)})
    assert list(result.texts) == [1, 3, 4, 5, 9]
    assert done == [1, 2, 3, 4, 5]


def test_no_more_pages_are_read_at_once_than_the_provider_says() -> None:
    def read(page: int) -> str:
        time.sleep(0.01)
        return ""

    reader = Reader(read, parallel=3)
    transcribe_pages(range(1, 21), _image, reader)
    assert reader.most_at_once == 3


def test_images_are_drawn_only_a_little_ahead() -> None:
    read_on = Event()
    drawn: list[int] = []
    drawn_meanwhile: list[int] = []
    parallel = 2

    def read(page: int) -> str:
        assert read_on.wait(5)
        return ""

    def render(page: int) -> bytes:
        drawn.append(page)
        return _image(page)

    def let_go() -> None:
        drawn_meanwhile.extend(drawn)
        read_on.set()

    Timer(0.15, let_go).start()
    transcribe_pages(range(1, 30), render, Reader(read, parallel=parallel))
    assert len(drawn_meanwhile) == parallel + min(parallel, AHEAD)
    assert drawn == list(range(1, 30))


def test_drawing_and_reading_overlap() -> None:
    def render(page: int) -> bytes:
        time.sleep(0.02)
        return _image(page)

    def read(page: int) -> str:
        time.sleep(0.02)
        return ""

    started = time.perf_counter()
    transcribe_pages(range(1, 21), render, Reader(read, parallel=1))
    assert time.perf_counter() - started < 1.5 * 20 * 0.02


def test_a_blank_page_is_read_without_asking_the_model() -> None:
    reader = Reader()
    result = transcribe_pages([1, 2, 3], lambda page: b"" if page == 2 else _image(page), reader)
    assert result == Transcription({1: "Page 1", 2: "", 3: "Page 3"})
    assert sorted(reader.tries) == [1, 3]


def test_a_document_without_such_pages_asks_nobody() -> None:
    assert transcribe_pages([], _image, Reader()) == Transcription({})


def test_without_a_provider_all_pages_are_unread_and_it_says_what_to_set_up() -> None:
    result = transcribe_pages([4, 2], _image, None)
    assert (dict(result.texts), result.unread) == ({}, (2, 4))
    assert "VISION_MODEL" in result.problem
    assert "tesseract" in result.problem


def test_a_page_that_cannot_be_drawn_is_unread_and_the_others_are_read() -> None:
    def render(page: int) -> bytes:
        if page == 2:
            raise DocumentTooCostly("Page 2 takes too much memory.")
        return _image(page)

    result = transcribe_pages([1, 2, 3], render, Reader())
    assert result == Transcription({1: "Page 1", 3: "Page 3"}, (2,), "Page 2 takes too much memory.")


@pytest.mark.parametrize(
    ("errors", "tries"),
    [
        ([], 1),
        ([ModelFailed("no")], 2),
        ([Busy("full")] * 3, 4),
        ([Busy("full"), ModelFailed("no"), Busy("full"), ModelFailed("no")], 5),
    ],
)
def test_a_page_is_tried_again_when_that_may_help(errors: list[RaglineError], tries: int) -> None:
    reader = Reader(_failing({2: errors.copy()}))
    assert transcribe_pages([1, 2], _image, reader, patience=HASTE) == Transcription({1: "Page 1", 2: "Page 2"})
    assert reader.tries.count(2) == tries


@pytest.mark.parametrize(
    ("errors", "tries", "problem"),
    [
        ([ModelFailed("It said nonsense.")] * 9, 2, "It said nonsense."),
        ([Busy("It is full.")] * 9, 4, "It is full."),
        ([DeadlineExceeded("It took too long.")] * 9, 1, "It took too long."),
    ],
)
def test_a_page_that_fails_every_time_is_unread_with_the_reason(
    errors: list[RaglineError], tries: int, problem: str
) -> None:
    reader = Reader(_failing({2: errors.copy()}))
    result = transcribe_pages([1, 2, 3], _image, reader, patience=HASTE)
    assert result == Transcription({1: "Page 1", 3: "Page 3"}, (2,), problem)
    assert reader.tries.count(2) == tries


def test_the_reason_is_that_of_the_first_unread_page_whichever_failed_first() -> None:
    def read(page: int) -> str:
        time.sleep(0.03 / page)
        raise DeadlineExceeded(f"Page {page} took too long.")

    result = transcribe_pages([7, 2, 5], _image, Reader(read))
    assert result == Transcription({}, (2, 5, 7), "Page 2 took too long.")


def test_a_busy_provider_is_given_the_time_it_asks_for() -> None:
    reader = Reader(_failing({1: [Busy("full", retry_after=0.15)]}))
    started = time.perf_counter()
    transcribe_pages([1], _image, reader, patience=Patience(longest_wait_s=0.2))
    assert 0.15 <= time.perf_counter() - started < 0.4


@pytest.mark.parametrize("error", [ModelUnavailable("It is away."), UnknownModel("Run `ollama pull it`.")])
def test_a_provider_that_cannot_be_used_ends_the_reading_at_once(error: RaglineError) -> None:
    read_on = Event()

    def read(page: int) -> str:
        if page == 2:
            raise error
        read_on.wait(5)
        return ""

    reader = Reader(read, parallel=2)
    started = time.perf_counter()
    with pytest.raises(type(error), match=error.message):
        transcribe_pages(range(1, 100), _image, reader)
    assert time.perf_counter() - started < 1
    read_on.set()
    time.sleep(0.05)
    assert len(reader.tries) <= 3


def test_pages_that_wait_for_a_busy_provider_wait_no_longer_after_an_error() -> None:
    def read(page: int) -> str:
        if page == 1:
            raise Busy("full", retry_after=30)
        time.sleep(0.05)
        raise ModelUnavailable("It is away.")

    reader = Reader(read, parallel=2)
    with pytest.raises(ModelUnavailable):
        transcribe_pages([1, 2], _image, reader)
    time.sleep(0.05)
    assert (reader.tries.count(1), reader.at_once) == (1, 0)


def test_what_drawing_raises_beyond_the_page_itself_is_raised() -> None:
    def render(page: int) -> bytes:
        if page == 3:
            raise StoreUnavailable("The disk is full.")
        return _image(page)

    with pytest.raises(StoreUnavailable):
        transcribe_pages([1, 2, 3], render, Reader())


def test_a_page_that_is_broken_does_not_count_as_one_being_read() -> None:
    def render(page: int) -> bytes:
        raise UnreadableDocument(f"Page {page} is broken.")

    done: list[int] = []
    assert transcribe_pages([1, 2], render, Reader(), on_page=done.append).unread == (1, 2)
    assert done == [1, 2]


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with running_model_server(parallel=8) as running:
        yield running


async def test_fifty_pages_take_seven_rounds_of_eight_through_one_loaded_model(server: ModelServer) -> None:
    pages, parallel, page_s = 50, 8, 0.2
    vision = OllamaVision(server.url, f"mock-vision-page{page_s * 1000:.0f}", parallel=parallel, timeout_s=10)
    started = time.perf_counter()
    result = await asyncio.to_thread(
        transcribe_pages, range(1, pages + 1), lambda page: page_png(f"Page {page}"), vision
    )
    took_s, floor_s = time.perf_counter() - started, ceil(pages / parallel) * page_s
    vision.close()
    assert result == Transcription({page: f"Page {page}" for page in range(1, pages + 1)})
    assert (server.stats.loads, server.stats.most_at_once, server.stats.requests) == (1, parallel, pages)
    assert floor_s <= took_s < 1.5 * floor_s


async def test_a_model_that_ollama_does_not_have_says_how_to_get_it(server: ModelServer) -> None:
    vision = OllamaVision(server.url, "qwen2.5vl", parallel=2, timeout_s=10)
    with pytest.raises(UnknownModel, match=r"ollama pull qwen2\.5vl"):
        await asyncio.to_thread(transcribe_pages, [1, 2, 3], _image, vision)
    vision.close()
