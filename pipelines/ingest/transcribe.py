"""Pages that are images in, their text as Markdown out; several at once, and each that could not be read by number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_attempt,
    stop_any,
    stop_when_event_set,
    wait_random_exponential,
)

from pipelines.errors import Busy, Cancelled, DeadlineExceeded, DocumentRejected, ModelFailed, RaglineError
from pipelines.providers.base import VisionProvider

NO_PROVIDER = "Its pages are images, which nothing here can read: set VISION_MODEL, or install tesseract-ocr."

AHEAD = 8
"""Images that are ready before a place is free: pages often end together, and the next should not wait to be drawn."""


@dataclass(frozen=True, slots=True)
class Transcription:
    """What the pages say. `texts` maps a page to Markdown, "" where nothing is on it.

    `unread` pages could not be read; `problem` says in one sentence why the first of them could not.
    """

    texts: Mapping[int, str]
    unread: tuple[int, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a page is tried, and the longest wait between two tries in seconds.

    `busy` tries of a provider that is full, each of `failed` tries of a model that failed on the page.
    """

    busy: int = 8
    failed: int = 2
    longest_wait_s: float = 60


def transcribe_pages(
    pages: Sequence[int],
    render: Callable[[int], bytes],
    vision: VisionProvider | None,
    *,
    patience: Patience = Patience(),
    on_page: Callable[[int], None] | None = None,
) -> Transcription:
    """Read `pages`, `vision.parallel` at once; the same whatever the order in which they are done.

    `render` gives a page as PNG, or no bytes where it is blank; it is called here, one page after the other, while
    earlier pages are being read, and no more than `AHEAD` of them. `on_page` gets how many pages are done. A page that
    the model fails on, however often it is tried, is unread; a provider that cannot be used at all is an error,
    because later it may be.

    Raises:
        ModelUnavailable: the provider does not answer, or may not be used.
        UnknownModel: the provider does not have the model; the message says how to get it.
        RaglineError: what `render` raises, but for `DocumentRejected`: that page is unread.
    """
    if vision is None:
        return Transcription({}, tuple(sorted(set(pages))), NO_PROVIDER)
    texts: dict[int, str] = {}
    reasons: dict[int, str] = {}
    stopping = Event()
    pool = ThreadPoolExecutor(vision.parallel, thread_name_prefix="read-page")
    try:
        reader = _Reader(vision, patience, stopping)
        for page, text in _read_all(dict.fromkeys(pages), render, pool, reader):
            if isinstance(text, _Unread):
                reasons[page] = text.reason
            else:
                texts[page] = text
            if on_page:
                on_page(len(texts) + len(reasons))
    finally:
        stopping.set()
        # After an error nobody waits for pages that are being read: their text is not wanted any more.
        pool.shutdown(wait=False, cancel_futures=True)
    unread = tuple(sorted(reasons))
    return Transcription(dict(sorted(texts.items())), unread, reasons[unread[0]] if unread else "")


@dataclass(frozen=True, slots=True)
class _Unread:
    reason: str


_Outcome = str | _Unread


def _read_all(
    pages: Mapping[int, None], render: Callable[[int], bytes], pool: ThreadPoolExecutor, reader: _Reader
) -> Iterator[tuple[int, _Outcome]]:
    """Pages and what came of them, as they are done."""
    most = reader.vision.parallel + min(reader.vision.parallel, AHEAD)
    reading: dict[Future[_Outcome], int] = {}
    for page in pages:
        yield from _done(reading, is_full=len(reading) >= most)
        try:
            image = render(page)
        except DocumentRejected as error:
            yield page, _Unread(error.message)
            continue
        if image:
            reading[pool.submit(reader.read, image)] = page
        else:
            yield page, ""
        del image  # the pool lets go of it when the page is read
    while reading:
        yield from _done(reading, is_full=True)


def _done(reading: dict[Future[_Outcome], int], *, is_full: bool) -> Iterator[tuple[int, _Outcome]]:
    """Take out of `reading` what is done, waiting for at least one page if it `is_full`."""
    for future in wait(reading, timeout=None if is_full else 0, return_when=FIRST_COMPLETED).done:
        yield reading.pop(future), future.result()


@dataclass(frozen=True, slots=True)
class _Reader:
    vision: VisionProvider
    patience: Patience
    stopping: Event

    def read(self, image: bytes) -> _Outcome:
        """Read one page, with patience; in one of the pool's threads."""
        try:
            reading = self._retrying(ModelFailed, self.patience.failed)
            text: str = self._retrying(Busy, self.patience.busy)(reading, self._read, image)
        except (Busy, ModelFailed, DeadlineExceeded) as error:
            return _Unread(error.message)
        return text

    def _read(self, image: bytes) -> str:
        if self.stopping.is_set():
            raise Cancelled("The document is not read any further.")
        return self.vision.read_page(image)

    def _retrying(self, error: type[RaglineError], attempts: int) -> Retrying:
        return Retrying(
            retry=retry_if_exception_type(error),
            stop=stop_any(stop_after_attempt(attempts), stop_when_event_set(self.stopping)),
            wait=self._wait_s,
            sleep=sleep_using_event(self.stopping),
            reraise=True,
        )

    def _wait_s(self, state: RetryCallState) -> float:
        """As long as the provider says, and each time longer; never the same for all pages."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, RaglineError) and error.retry_after else 0
        spread: float = wait_random_exponential(multiplier=0.5, max=self.patience.longest_wait_s)(state)
        return min(asked + spread, self.patience.longest_wait_s)
