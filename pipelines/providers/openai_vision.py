"""A vision model behind OpenAI's chat API: the image of a page goes in, its text as Markdown comes out."""

from __future__ import annotations

from base64 import b64encode
from threading import BoundedSemaphore

import httpx2
import openai
from openai.types.chat import ChatCompletion

from pipelines.errors import DeadlineExceeded, ModelFailed, RaglineError
from pipelines.providers.base import VisionProvider
from pipelines.providers.openai_compatible import VENDOR_ERRORS, translated
from pipelines.providers.page_prompt import MAX_TOKENS, PROMPT, endless, page_text

_NOT_CONNECTED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
"""What the client says only as the cause of its own error (openai 3.52 speaks HTTP through httpx2)."""


class OpenAICompatibleVision(VisionProvider):
    """One vision model of one OpenAI-compatible server."""

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        parallel: int,
        timeout_s: float,
        api_key: str = "",
        connect_timeout_s: float = 5,
    ) -> None:
        """`timeout_s` is for one page."""
        self.name = f"openai/{model}"
        self.parallel = parallel
        self._base_url, self._model, self._timeout_s = base_url, model, timeout_s
        self._places = BoundedSemaphore(parallel)  # several documents may be read at the same time
        self._client = openai.OpenAI(
            base_url=base_url,
            # The client insists on a key; a local vLLM has none.
            api_key=api_key or "none",
            timeout=openai.Timeout(timeout_s, connect=connect_timeout_s),
            max_retries=0,  # whoever reads a document says how often a page is tried
        )

    def read_page(self, image: bytes) -> str:
        with self._places:
            try:
                choice = self._ask(image).choices[0]
                text, reason = choice.message.content or "", choice.finish_reason
            except (*VENDOR_ERRORS, LookupError) as error:
                raise self._translated(error) from error
        if reason == "length":
            raise endless(self._model)
        if reason == "content_filter":
            raise ModelFailed(f"The filter of {self._model} withheld the text of the page.")
        return page_text(text)

    def close(self) -> None:
        self._client.close()

    def _translated(self, error: Exception) -> RaglineError:
        if isinstance(error.__cause__, httpx2.ReadTimeout):
            return DeadlineExceeded(f"{self._model} took more than {self._timeout_s:g} s for a page.")
        answering = not isinstance(error.__cause__, _NOT_CONNECTED)
        return translated(error, self._model, self._base_url, answering=answering)

    def _ask(self, image: bytes) -> ChatCompletion:
        address = "data:image/png;base64," + b64encode(image).decode()
        return self._client.chat.completions.create(
            model=self._model,
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": PROMPT},
                        {"type": "image_url", "image_url": {"url": address}},
                    ],
                }
            ],
            temperature=0,
            max_tokens=MAX_TOKENS,
        )
