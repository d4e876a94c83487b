"""A vision model of Amazon Bedrock: the image of a page goes in, its text as Markdown comes out."""

from __future__ import annotations

from io import BytesIO
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING

from botocore.config import Config
from PIL import Image

from pipelines.errors import ModelFailed, RaglineError
from pipelines.providers.base import VisionProvider
from pipelines.providers.bedrock_errors import BedrockCall
from pipelines.providers.bedrock_models import needed_arns
from pipelines.providers.page_prompt import MAX_TOKENS, PROMPT, endless, page_text
from pipelines.stores.aws import AWS_ERRORS, NO_CREDENTIALS

if TYPE_CHECKING:
    from types_boto3_bedrock_runtime.client import BedrockRuntimeClient
    from types_boto3_bedrock_runtime.literals import ImageFormatType
    from types_boto3_bedrock_runtime.type_defs import ConverseResponseTypeDef

MAX_IMAGE_BYTES = 3_750_000
"""Of one image in a Converse request: https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference.html"""

_UNFIT = ("model identifier", "on-demand throughput", "support the image")
"""What Bedrock calls invalid about the model, rather than about the page."""


class BedrockVision(VisionProvider):
    """One vision model or inference profile, with the credentials of AWS' own chain: a task role, a profile, a key."""

    def __init__(
        self,
        model: str,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        parallel: int = 8,
        timeout_s: float,
        connect_timeout_s: float = 5,
    ) -> None:
        """`timeout_s` is for one page. Without `region` the machine's AWS configuration says it."""
        self.name = f"bedrock/{model}"
        self.parallel = parallel
        self._model, self._region, self._endpoint_url, self._timeout_s = model, region, endpoint_url, timeout_s
        self._places = BoundedSemaphore(parallel)  # several documents may be read at the same time
        self._config = Config(
            connect_timeout=connect_timeout_s,
            read_timeout=timeout_s,
            # Whoever reads a document says how often a page is tried.
            retries={"mode": "standard", "total_max_attempts": 1},
            max_pool_connections=parallel,
        )
        self._lock = Lock()
        self._opened: BedrockRuntimeClient | None = None

    def read_page(self, image: bytes) -> str:
        with self._places:
            try:
                answer = self._ask(image)
                text = "".join(part.get("text", "") for part in answer["output"]["message"]["content"])
            except (*AWS_ERRORS, LookupError) as error:
                raise self._translated(error) from error
        match answer.get("stopReason"):
            case "max_tokens":
                raise endless(self._model)
            case "guardrail_intervened" | "content_filtered":
                raise ModelFailed(f"A filter in Bedrock withheld the text of the page that {self._model} read.")
        return page_text(text)

    def close(self) -> None:
        with self._lock:
            if self._opened:
                self._opened.close()

    def _ask(self, image: bytes) -> ConverseResponseTypeDef:
        data, kind = _within_limit(image)
        return self._client().converse(
            modelId=self._model,
            messages=[
                {"role": "user", "content": [{"image": {"format": kind, "source": {"bytes": data}}}, {"text": PROMPT}]}
            ],
            inferenceConfig={"temperature": 0, "maxTokens": MAX_TOKENS},
        )

    def _client(self) -> BedrockRuntimeClient:
        """Made with the first page: it looks for credentials, which may ask the network."""
        with self._lock:
            if self._opened is None:
                # Imported here: it takes 0.4 s, which a stack without AWS need not wait for.
                from boto3.session import Session

                session = Session(region_name=self._region)
                self._region = session.region_name
                self._opened = session.client("bedrock-runtime", endpoint_url=self._endpoint_url, config=self._config)
            return self._opened

    def _translated(self, error: Exception) -> RaglineError:
        if isinstance(error, NO_CREDENTIALS):
            self._opened = None  # the client would never look for credentials again
        partition = self._opened.meta.partition if self._opened else "aws"
        resources = needed_arns(self._model, region=self._region, partition=partition)
        return BedrockCall(
            model=self._model,
            job="read pages",
            piece="a page",
            region=self._region,
            timeout_s=self._timeout_s,
            allow=f"bedrock:InvokeModel on {' and '.join(resources)}",
            unfit=_UNFIT,
        ).error(error)


def _within_limit(image: bytes) -> tuple[bytes, ImageFormatType]:
    if len(image) <= MAX_IMAGE_BYTES:
        return image, "png"
    smaller = BytesIO()
    with Image.open(BytesIO(image)) as page:
        page.convert("RGB").save(smaller, "JPEG", quality=85)
    return smaller.getvalue(), "jpeg"
