"""A vision model of Ollama: the image of a page goes in, its text as Markdown comes out."""

from __future__ import annotations

from threading import BoundedSemaphore

import httpx
from ollama import ChatResponse, Client, Image, Message

from pipelines.errors import DeadlineExceeded
from pipelines.providers.base import VisionProvider
from pipelines.providers.ollama import VENDOR_ERRORS, translated
from pipelines.providers.page_prompt import MAX_TOKENS, PROMPT, endless, page_text

NUM_CTX = 8192
"""Room for an image of a page, up to 4,000 tokens, and its transcript. Ollama's default, 4,096, would cut pages off."""


class OllamaVision(VisionProvider):
    """One vision model of one Ollama server, asked the same way every time: other options would load it anew."""

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        parallel: int,
        timeout_s: float,
        connect_timeout_s: float = 5,
        keep_alive: str = "10m",
    ) -> None:
        """`timeout_s` is for one page. `keep_alive` is how long the model stays loaded after a page, as Ollama says it.

        `parallel` should be Ollama's own OLLAMA_NUM_PARALLEL: pages beyond it would wait there, against the timeout.
        """
        self.name = f"ollama/{model}"
        self.parallel = parallel
        self._base_url, self._model, self._timeout_s, self._keep_alive = base_url, model, timeout_s, keep_alive
        self._places = BoundedSemaphore(parallel)  # several documents may be read at the same time
        self._client = Client(
            host=base_url,
            timeout=httpx.Timeout(timeout_s, connect=connect_timeout_s),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=parallel),
            # A proxy meant for the internet must not get between us and a server of our own.
            trust_env=False,
        )

    def read_page(self, image: bytes) -> str:
        with self._places:
            try:
                answer = self._ask(image)
            except httpx.ReadTimeout as error:
                raise DeadlineExceeded(f"{self._model} took more than {self._timeout_s:g} s for a page.") from error
            except VENDOR_ERRORS as error:
                raise translated(error, self._model, self._base_url) from error
        if answer.done_reason == "length":
            raise endless(self._model)
        return page_text(answer.message.content or "")

    def close(self) -> None:
        self._client.close()  # type: ignore[no-untyped-call]  # not annotated in ollama 0.6.3

    def _ask(self, image: bytes) -> ChatResponse:
        return self._client.chat(
            self._model,
            [Message(role="user", content=PROMPT, images=[Image(value=image)])],
            think=False,
            options={"temperature": 0, "num_ctx": NUM_CTX, "num_predict": MAX_TOKENS},
            keep_alive=self._keep_alive,
        )
