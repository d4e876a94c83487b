"""Every way in which a provider fails, through the router: a typed error in bounded time, or the fallback's answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from pipelines.answer.generate.circuit import FAILURES
from pipelines.answer.generate.model_request import ModelRequest
from pipelines.answer.generate.router import ModelRouter, Patience
from pipelines.answer.generate.spending import Spending, Spent
from pipelines.domain import Usage
from pipelines.errors import (
    BudgetSpent,
    Busy,
    ContextTooLong,
    DeadlineExceeded,
    ModelFailed,
    ModelUnavailable,
    RaglineError,
    UnknownModel,
)
from pipelines.providers.base import ChatProvider, TextDelta
from pipelines.providers.bedrock import BedrockProvider
from pipelines.providers.openai_compatible import OpenAICompatibleProvider
from pipelines.providers.sagemaker import SageMakerProvider
from tests.fakes.aws import REGION, clean_environment
from tests.fakes.aws_models import AwsModels, running_aws_models
from tests.fakes.bedrock_refusals import THROTTLED
from tests.models import ModelServer, running_model_server
from tests.unit.answer.generate.test_fit import prompt
from tests.unit.answer.generate.test_router import FAST, all_of, asking, build_router, call_of, text_of

QUOTES = ("extractive/quotes",)


@dataclass(slots=True)
class Bench:
    """The model server, AWS's, and the environment in which boto3 looks for a key."""

    server: ModelServer
    aws: AwsModels
    environment: pytest.MonkeyPatch

    def router(
        self, fallback: tuple[str, ...] = (), *, key: str = "", url: str = "", patience_s: float = 10
    ) -> ModelRouter:
        at = {"region": REGION, "endpoint_url": self.aws.url}
        others: list[ChatProvider] = [
            OpenAICompatibleProvider(f"{self.server.url}/v1", api_key=key),
            BedrockProvider(**at),
            SageMakerProvider(**at),
        ]
        patience = Patience(first_token_s=patience_s, idle_s=0.3)
        return build_router(self.server, *others, fallback=fallback, url=url, patience=patience)


@pytest.fixture
def environment() -> Iterator[pytest.MonkeyPatch]:
    with clean_environment() as clean:
        yield clean


@pytest.fixture
async def bench(environment: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    async with running_model_server() as server, running_aws_models() as aws:
        yield Bench(server, aws, environment)


def _no_key(bench: Bench) -> None:
    bench.environment.delenv("AWS_ACCESS_KEY_ID")
    bench.environment.delenv("AWS_SECRET_ACCESS_KEY")


def _expired(bench: Bench) -> None:
    bench.environment.setenv("AWS_SESSION_TOKEN", next(iter(bench.aws.keys.expired)))


def _wrong_region(bench: Bench) -> None:
    bench.aws.keys.region = "us-west-2"


def _throttled(bench: Bench) -> None:
    bench.aws.gate.refusal = THROTTLED


def _nothing(bench: Bench) -> None:
    del bench


@dataclass(frozen=True, slots=True)
class Failure:
    """What is asked, how it fails, and what is wrong besides."""

    model: str
    error: type[RaglineError]
    wrong: Callable[[Bench], None] = _nothing
    key: str = ""
    url: str = ""

    def router(self, bench: Bench, fallback: tuple[str, ...] = ()) -> ModelRouter:
        # The first call of AWS takes a while to make a client.
        patience_s = 0.5 if self.error is DeadlineExceeded else 10
        return bench.router(fallback, key=self.key, url=self.url, patience_s=patience_s)


OK = "mock-ttft0-itl0-len5"
NOT_ANSWERED = {
    "nobody there": Failure(FAST, ModelUnavailable, url="http://127.0.0.1:9"),
    "a model that crashes": Failure(f"ollama/{OK}-err", ModelFailed),
    "a busy model": Failure(f"ollama/{OK}-busy", Busy),
    "a model that never answers": Failure(f"ollama/{OK}-hang0", DeadlineExceeded),
    "one byte in a while": Failure("ollama/mock-ttft0-itl100-len9-drip", DeadlineExceeded),
    "a wrong key": Failure(f"openai/{OK}", ModelUnavailable, key="wrong"),
    "no credentials": Failure(f"bedrock/{OK}", ModelUnavailable, _no_key),
    "expired credentials": Failure(f"bedrock/{OK}", ModelUnavailable, _expired),
    "the wrong region": Failure(f"bedrock/{OK}", ModelUnavailable, _wrong_region),
    "access denied by IAM": Failure(f"bedrock/{OK}-denied", ModelUnavailable),
    "no access to the model": Failure(f"bedrock/{OK}-closed", ModelUnavailable),
    "a throttled account": Failure(f"bedrock/{OK}", Busy, _throttled),
    "a model of Bedrock that fails": Failure(f"bedrock/{OK}-err", ModelFailed),
    "a model of Bedrock that never answers": Failure(f"bedrock/{OK}-hang0", DeadlineExceeded),
    "a prompt too long for Bedrock": Failure(f"bedrock/{OK}-ctx5", ContextTooLong),
    "an endpoint without credentials": Failure(f"sagemaker/{OK}", ModelUnavailable, _no_key),
    "an endpoint that never answers": Failure(f"sagemaker/{OK}-hang0", DeadlineExceeded),
}


@pytest.mark.parametrize("failure", NOT_ANSWERED.values(), ids=NOT_ANSWERED)
async def test_a_failure_before_the_first_token_is_typed_and_soon_and_the_fallback_answers(
    bench: Bench, failure: Failure
) -> None:
    failure.wrong(bench)
    router = failure.router(bench)
    started = time.perf_counter()
    with pytest.raises(failure.error) as raised:
        await all_of(router, failure.model, request_id="r1")
    assert type(raised.value) is failure.error
    assert (await call_of(router, "r1")).error is raised.value
    await router.close()
    router = failure.router(bench, QUOTES)
    assert text_of(await all_of(router, failure.model, request_id="r2"))
    assert time.perf_counter() - started < 4
    call = await call_of(router, "r2")
    assert (call.asked, call.model, call.error) == (failure.model, "extractive/quotes", None)
    await asyncio.sleep(0.05)
    assert (router.active, bench.server.stats.active, bench.aws.stats.active) == (0, 0, 0)
    await router.close()


@pytest.mark.parametrize(
    "model", ["ollama/llama3.2", "openai/gpt-4", "bedrock/no.such-model", "sagemaker/no-such-endpoint", "nobody/m"]
)
async def test_a_mistaken_model_is_shown_and_not_papered_over(bench: Bench, model: str) -> None:
    router = bench.router(QUOTES)
    with pytest.raises(UnknownModel):
        await all_of(router, model)
    await router.close()


BROKEN_OFF = {
    "a connection that breaks": "ollama/mock-ttft0-itl1-len9-fail5",
    "an error in the middle": "ollama/mock-ttft0-itl1-len9-err5",
    "Bedrock's error in the middle": "bedrock/mock-ttft0-itl1-len9-err5",
    "Bedrock's throttling in the middle": "bedrock/mock-ttft0-itl1-len9-err5-throttled",
    "no JSON": "bedrock/mock-ttft0-itl1-len9-err5-junk",
    "no UTF-8": "bedrock/mock-ttft0-itl1-len9-err5-utf8",
    "a wrong checksum": "bedrock/mock-ttft0-itl1-len9-err5-crc",
    "an end too soon": "bedrock/mock-ttft0-itl1-len9-err5-short",
    "an endpoint's no JSON": "sagemaker/mock-ttft0-itl1-len9-err5-junk",
    "an endpoint's no UTF-8": "sagemaker/mock-ttft0-itl1-len9-err5-utf8",
}


@pytest.mark.parametrize("model", BROKEN_OFF.values(), ids=BROKEN_OFF)
async def test_after_the_first_token_a_failure_ends_the_answer_and_nobody_else_speaks(bench: Bench, model: str) -> None:
    router = bench.router(QUOTES)
    seen = []
    with pytest.raises(ModelFailed):
        async with aclosing(router.stream(asking(model, request_id="r1"))) as deltas:
            async for delta in deltas:
                seen.append(delta)
    assert text_of(seen).startswith("According to the documents [1]")
    call = await call_of(router, "r1")
    assert (call.fallback, type(call.error)) == (False, ModelFailed)
    await router.close()


@pytest.mark.parametrize("body", [b"\xff\xfe\n", b"not JSON\n", b"[]\n", b""])
async def test_what_is_not_the_providers_protocol_has_the_fallback_answer(bench: Bench, body: bytes) -> None:
    async def chat(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/x-ndjson")

    async with _serving(chat) as url:
        router = bench.router(url=url)
        with pytest.raises(ModelFailed):
            await all_of(router, FAST)
        await router.close()
        router = bench.router(QUOTES, url=url)
        assert text_of(await all_of(router, FAST))
        await router.close()


@asynccontextmanager
async def _serving(chat: Callable[[web.Request], object]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/api/chat", chat)  # type: ignore[arg-type]
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_prompt_that_is_too_long_loses_its_weakest_passages_and_this_is_recorded(bench: Bench) -> None:
    router = bench.router()
    request = ModelRequest("bedrock/mock-ttft0-itl0-len5-ctx500", prompt(), request_id="r1")
    completion = await router.complete(request)
    assert completion.text == "According to the documents [1]"
    assert 0 < (await call_of(router, "r1")).dropped_passages < 8
    await router.close()


async def test_the_fallback_reads_what_the_model_could_not(bench: Bench) -> None:
    router = bench.router((FAST,))
    request = ModelRequest("bedrock/mock-ttft0-itl0-len5-ctx5", prompt(), request_id="r1")
    await router.complete(request)
    call = await call_of(router, "r1")
    assert (call.model, call.dropped_passages) == (FAST, 0)
    await router.close()


async def test_when_the_default_cannot_be_found_the_fallback_answers(bench: Bench) -> None:
    router = bench.router(QUOTES, url="http://127.0.0.1:9")
    for number, asked in enumerate(("default", "", "ollama")):
        assert text_of(await all_of(router, asked, request_id=f"r{number}"))
        call = await call_of(router, f"r{number}")
        assert (call.asked, call.model, call.fallback) == (asked or "default", "extractive/quotes", True)
    await router.close()


async def test_a_fallback_that_cannot_be_found_is_passed_over(bench: Bench) -> None:
    missing = ("nobody/model", "ollama/llama3.2", "ollama/mock-ttft0-itl0-len5-err", *QUOTES)
    router = bench.router(missing, patience_s=0.5)
    assert text_of(await all_of(router, f"ollama/{OK}-hang0", request_id="r1"))
    assert (await call_of(router, "r1")).model == "extractive/quotes"
    await router.close()
    router = bench.router(("ollama",), url="http://127.0.0.1:9")
    with pytest.raises(ModelFailed):
        await all_of(router, f"openai/{OK}-err")
    await router.close()


async def test_a_provider_that_is_down_is_not_tried_each_time_and_the_fallback_answers_at_once(bench: Bench) -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with _serving(silent) as url:
        router = bench.router(QUOTES, url=url, patience_s=0.3)
        for _ in range(FAILURES):
            await all_of(router, FAST)
        started = time.perf_counter()
        assert text_of(await all_of(router, FAST, request_id="r1"))
        assert time.perf_counter() - started < 0.2
        assert (await call_of(router, "r1")).model == "extractive/quotes"
        with pytest.raises(ModelUnavailable, match="not asked for now") as refused:
            await all_of(router, FAST, fall_back=False)
        assert refused.value.retry_after
        states = {(report.provider, report.model): report.state for report in router.health()}
        assert states["ollama", FAST.removeprefix("ollama/")] == "open"
        assert states["extractive", ""] == "closed"
        await router.close()


@pytest.mark.parametrize(
    ("name", "others_are_asked"),
    [
        ("nobody there", False),
        ("no credentials", False),
        ("expired credentials", False),
        ("the wrong region", False),
        ("access denied by IAM", True),
        ("no access to the model", True),
        ("a model that crashes", True),
    ],
)
async def test_what_keeps_one_model_from_answering_does_not_close_the_others_of_its_provider(
    bench: Bench, name: str, others_are_asked: bool
) -> None:
    failure = NOT_ANSWERED[name]
    failure.wrong(bench)
    router = failure.router(bench)
    for _ in range(FAILURES):
        with pytest.raises(failure.error):
            await all_of(router, failure.model)
    with pytest.raises(ModelUnavailable, match="not asked for now"):
        await all_of(router, failure.model)
    another = f"{failure.model.partition('/')[0]}/mock-ttft0-itl0-len3"
    if others_are_asked:
        assert text_of(await all_of(router, another)) == "According to the"
    else:
        with pytest.raises(ModelUnavailable, match="not asked for now"):
            await all_of(router, another)
    await router.close()


@dataclass(slots=True)
class Ledger(Spending):
    """A ledger in a list; models that begin with `dear` cost more than is left."""

    dear: str = "nothing"
    checked: list[tuple[str, str]] = field(default_factory=list)
    spent: list[Spent] = field(default_factory=list)

    def check(self, user_id: str, model: str) -> None:
        self.checked.append((user_id, model))
        if model.startswith(self.dear):
            raise BudgetSpent("Today's budget is spent.", retry_after=60)

    def record(self, spent: Spent) -> None:
        self.spent.append(spent)


async def test_a_spent_budget_is_said_and_nothing_is_asked(bench: Bench) -> None:
    ledger = Ledger(dear="ollama/")
    router = build_router(bench.server, fallback=QUOTES, spending=ledger)
    with pytest.raises(BudgetSpent):
        await all_of(router, FAST, user_id="u1")
    assert (ledger.checked, ledger.spent, bench.server.stats.requests) == ([("u1", FAST)], [], 0)
    await router.close()


async def test_every_answer_is_charged_to_who_asked_whole_or_not(bench: Bench) -> None:
    ledger = Ledger()
    router = build_router(bench.server, fallback=(FAST,), spending=ledger, patience=Patience(1, 0.1))
    broken, failing = "ollama/mock-ttft0-itl0-len9-fail5", "ollama/mock-ttft0-itl0-len9-err"
    slow = "ollama/mock-ttft0-itl20-len500"
    await all_of(router, failing, user_id="u1")
    with pytest.raises(ModelFailed):
        await all_of(router, broken, user_id="u2")
    async with aclosing(router.stream(asking(slow, user_id="u3"))) as deltas:
        assert isinstance(await anext(deltas), TextDelta)
    usages = [(each.user_id, each.model, each.usage) for each in ledger.spent]
    assert usages == [
        ("u1", FAST, Usage(6, 5)),
        ("u2", broken, Usage(7, 8, estimated=True)),
        ("u3", slow, Usage(7, 3, estimated=True)),
    ]
    assert ledger.spent[0].cost_usd == pytest.approx(16e-6)
    assert [model for _, model in ledger.checked] == [failing, FAST, broken, slow]
    await router.close()
