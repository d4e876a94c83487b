"""moto's real HTTP server for S3 and SQS, and a wire in front of it on which a test can make it misbehave."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

from pipelines.stores.s3 import s3_client
from pipelines.stores.sqs import sqs_client
from tests.fakes.aws_wire import ACCOUNT

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_sqs.client import SQSClient

REGION: Final = "eu-central-1"
_SERVICES = ("BEDROCK", "BEDROCK_RUNTIME", "SAGEMAKER", "SAGEMAKER_RUNTIME")
_CONFIGURED = (
    *("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK", "AWS_REGION", "AWS_DEFAULT_REGION"),
    *("AWS_ENDPOINT_URL", *(f"AWS_ENDPOINT_URL_{service}" for service in _SERVICES)),
)


class AwsServer:
    """Where S3 and SQS answer, with clients that ask once and do not try again."""

    def __init__(self, url: str) -> None:
        self.url = url

    @cached_property
    def s3(self) -> S3Client:
        return s3_client(self.url, REGION, attempts=1)

    @cached_property
    def sqs(self) -> SQSClient:
        return sqs_client(self.url, REGION, attempts=1)

    def new_bucket(self, objects: int = 0) -> str:
        """The name of a bucket with so many objects, all in its first folder."""
        name = f"bucket-{uuid.uuid4()}"
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        # Into the server's memory: over HTTP a thousand take longer than all other tests together.
        for number in range(objects):
            s3_backends[ACCOUNT]["aws"].put_object(name, f"{number:05}.md", b"x")
        return name

    def delete_bucket(self, name: str) -> None:
        """Delete a bucket with all that is in it."""
        while found := self.s3.list_objects_v2(Bucket=name).get("Contents"):
            self.s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": item["Key"]} for item in found]})
        self.s3.delete_bucket(Bucket=name)

    def new_queue(self) -> str:
        """The URL of a queue that is empty, and shows a message again at once."""
        name = f"queue-{uuid.uuid4()}"
        return self.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "0"})["QueueUrl"]


@contextmanager
def aws_server() -> Iterator[AwsServer]:
    """A server on a free port. Meanwhile nothing of this machine's own AWS configuration is seen."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    with clean_environment():
        server.start()
        try:
            host, port = server.get_host_and_port()
            yield AwsServer(f"http://{host}:{port}")
        finally:
            server.stop()
            if server._server:  # its socket stays open otherwise: moto 5.2
                server._server.server_close()


@contextmanager
def clean_environment() -> Iterator[pytest.MonkeyPatch]:
    """An AWS configuration with a key that means nothing, and nothing else."""
    with pytest.MonkeyPatch.context() as environment:
        for name in _CONFIGURED:
            environment.delenv(name, raising=False)
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        environment.setenv("AWS_CONFIG_FILE", "/dev/null")
        environment.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        environment.setenv("NO_PROXY", "127.0.0.1")
        yield environment


@dataclass(frozen=True, slots=True)
class Answer:
    """What the wire says in place of the server. With more `promised` bytes than there are, it breaks off there."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None


Intercept = Callable[[str, str], Answer | None]
"""Gets the method and the path; None lets the request through."""


class Wire(AwsServer):
    """What stands between the clients and the server; `intercept` may be set at any time."""

    intercept: Intercept | None = None


@contextmanager
def wire(upstream: str) -> Iterator[Wire]:
    """A server that answers for `upstream` where its `intercept` says so, and passes everything else on."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.daemon_threads = True
    found = Wire(f"http://127.0.0.1:{server.server_address[1]}")
    server.RequestHandlerClass = partial(_Handler, urlsplit(upstream).netloc, found)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def refusal(status: int, code: str, message: str = "no", **more: str) -> Answer:
    """An error as S3 sends it."""
    inside = "".join(f"<{name}>{value}</{name}>" for name, value in more.items())
    body = f"<Error><Code>{code}</Code><Message>{message}</Message>{inside}</Error>"
    return Answer(status, body.encode(), {"Content-Type": "application/xml"})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, upstream: str, wire: Wire, request: Any, address: Any, server: BaseServer) -> None:
        self._upstream = upstream
        self._wire = wire
        super().__init__(request, address, server)

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        intercept = self._wire.intercept
        answer = (intercept(self.command, self.path) if intercept else None) or self._pass_on(body)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body) if answer.promised is None else answer.promised))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def _pass_on(self, body: bytes) -> Answer:
        connection = HTTPConnection(self._upstream)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            response = connection.getresponse()
            own = ("content-length", "connection", "transfer-encoding", "date", "server")
            headers = {name: value for name, value in response.getheaders() if name.lower() not in own}
            return Answer(response.status, response.read(), headers)
        finally:
            connection.close()

    def log_request(self, *_: object) -> None:
        """Tests read what fails, not what is asked."""
