"""Makes a boto3 client when it is first needed: a region goes in, a client with AWS' own credentials comes out.

AWS' chain finds what is there: a task role, an instance's role, a profile, a key.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import NoRegionError

from pipelines.providers.aws_sockets import make_stoppable

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.client import ClientMeta

SIGNING_REGION = "us-east-1"
"""For a server that stands in for AWS, which must be signed for some region but is in none."""

AMAZONS_OWN = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".amazonaws.eu")


class _AnyClient(Protocol):
    @property
    def meta(self) -> ClientMeta: ...
    def close(self) -> None: ...


Client = TypeVar("Client", bound=_AnyClient)


def streaming_config(*, parallel: int, connect_timeout_s: float, silence_s: float) -> Config:
    """For calls that are streamed for minutes, `parallel` at once, and given up after `silence_s` without a byte."""
    return Config(
        connect_timeout=connect_timeout_s,
        read_timeout=silence_s,
        # The router says how often a model is tried.
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=parallel,
        # A model may think for longer than a NAT gateway remembers a silent connection (350 s).
        tcp_keepalive=True,
    )


class AwsClient(Generic[Client]):
    """One client for all threads. Blocking where it has to be made: that may ask the network for credentials."""

    def __init__(self, make: Callable[[Session, str], Client], *, region: str | None = None) -> None:
        """`make` gets a session and the region to sign for. Without `region` the AWS configuration says it."""
        self._make, self._region = make, region or None
        self._lock = Lock()
        self._opened: Client | None = None
        self.region = region or ""
        """Where calls go; empty until the configuration has been read, or where a server that stands in is in none."""
        self.partition = "aws"

    def __call__(self) -> Client:
        """The client; raises `NoRegionError` and what finding credentials raises."""
        with self._lock:
            if self._opened is None:
                session = self._session()
                opened = self._make(session, self.region or SIGNING_REGION)
                if not self.region and _is_amazons(opened.meta.endpoint_url):
                    opened.close()
                    raise NoRegionError
                make_stoppable(opened)
                self.partition, self._opened = opened.meta.partition, opened
            return self._opened

    def find_region(self) -> str:
        """The region of the AWS configuration, which is read but not asked; empty where it names none."""
        with self._lock:
            if not self.region:
                self._session()
            return self.region

    def forget(self) -> None:
        """Make another client with the next call: one that found no credentials would never look again."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def close(self) -> None:
        """Release connections."""
        self.forget()

    def _session(self) -> Session:
        # Imported here: it takes 0.4 s, which a stack without AWS need not wait for.
        from boto3.session import Session

        session = Session(region_name=self._region)
        self.region = session.region_name or ""
        return session


def _is_amazons(url: str) -> bool:
    return (urlsplit(url).hostname or "").endswith(AMAZONS_OWN)
