"""AWS's models for tests: Bedrock and SageMaker, chat and control plane, on one port.

    python -m tests.fakes.aws_models --port 4599 --region eu-central-1

Point AWS_ENDPOINT_URL_BEDROCK_RUNTIME, _BEDROCK, _SAGEMAKER_RUNTIME and _SAGEMAKER at it, and sign with the key `test`
and the secret `test`. What a model does is in its name (`aws_scripts.py`); what it saw is at `/mock/stats`.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import asdict, dataclass, field
from functools import partial

import orjson
from aiohttp import web

from tests.fakes.aws_control import BedrockControl, SageMakerControl
from tests.fakes.aws_gate import AwsStats, Gate
from tests.fakes.aws_signature import Keys
from tests.fakes.aws_wire import Refusal, application, running
from tests.fakes.bedrock_chat import BedrockChat
from tests.fakes.in_a_thread import in_a_thread
from tests.fakes.sagemaker import Endpoints


@dataclass(slots=True)
class AwsModels:
    """All of it over one set of keys and statistics; `url` is set while it runs."""

    gate: Gate = field(default_factory=Gate)
    chat: BedrockChat = field(init=False)
    endpoints: Endpoints = field(init=False)
    url: str = ""

    def __post_init__(self) -> None:
        self.chat = BedrockChat(self.gate)
        self.endpoints = Endpoints(self.gate)

    @property
    def stats(self) -> AwsStats:
        return self.gate.stats

    @property
    def keys(self) -> Keys:
        return self.gate.keys

    def app(self) -> web.Application:
        """Bedrock's routes, SageMaker's, and the server's own under `/mock`."""
        app = application()
        for routes in (self.chat, self.endpoints, BedrockControl(self.chat), SageMakerControl(self.endpoints)):
            routes.add_to(app)
        app.router.add_get("/mock/stats", self._stats)
        app.router.add_post("/mock/reset", self._reset)
        app.router.add_post("/mock/refuse", self._refuse)
        app.router.add_post("/mock/endpoints", self._endpoints)
        return app

    async def _stats(self, _request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(asdict(self.stats)), content_type="application/json")

    async def _reset(self, _request: web.Request) -> web.Response:
        self.stats.reset()
        self.gate.refusal = None
        return web.Response(status=204)

    async def _refuse(self, request: web.Request) -> web.Response:
        """Refuse everything from now on with {"status", "code", "message"}, until the next reset."""
        self.gate.refusal = Refusal(**await request.json())
        return web.Response(status=204)

    async def _endpoints(self, request: web.Request) -> web.Response:
        """Set what endpoints are doing: {"name": "InService" | "Creating" | "Failed"}."""
        self.endpoints.status.update(await request.json())
        return web.Response(status=204)


@asynccontextmanager
async def running_aws_models(port: int = 0, *, region: str = "") -> AsyncIterator[AwsModels]:
    """Run them in this event loop, on a free port unless one is given, for one region or for all."""
    server = AwsModels(Gate(Keys(region=region)))
    async with running(server, port):
        yield server


def aws_models_in_a_thread(*, region: str = "") -> AbstractContextManager[AwsModels]:
    """Run them in an event loop of their own, for tests that call boto3 and have no loop."""
    return in_a_thread(partial(running_aws_models, region=region))


def main() -> None:
    """Serve on `--port` until stopped."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.aws_models", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--region", default="", help="the only region for which requests may be signed")
    arguments = parser.parse_args()
    try:
        asyncio.run(_serve(arguments.port, arguments.region))
    except KeyboardInterrupt:
        return


async def _serve(port: int, region: str) -> None:
    async with running_aws_models(port, region=region) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    main()
