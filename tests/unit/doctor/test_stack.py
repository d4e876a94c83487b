"""What the doctor says of Open WebUI, pipelines and n8n, over real connections to parts that are well or are not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from pipelines.settings import StackSettings
from tests.fakes import n8n
from tests.unit.doctor.conftest import Ask, MakeSettings
from tests.unit.doctor.parts import Parts, running_parts


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    async with running_parts() as running:
        yield running


@pytest.fixture
def settings(parts: Parts, make_settings: MakeSettings, tmp_path: Path) -> StackSettings:
    key = tmp_path / "n8n-api-key"
    key.write_text("n8n-key")
    urls = {f"{part}_url": parts.url for part in ("pipelines", "n8n", "open_webui")}
    return make_settings(n8n_api_key_file=key, **urls)


async def test_a_stack_that_is_well(settings: StackSettings, parts: Parts, ask: Ask) -> None:
    found = await ask(settings, "stack", "open-webui", "pipelines", "n8n")
    assert {part: finding.state for part, finding in found.items()} == dict.fromkeys(
        [
            *("stack", "open-webui", "open-webui models", "pipelines", "pipelines key"),
            *("n8n", "n8n owner", "n8n api key", "n8n webhook", "n8n answer"),
        ],
        "ok",
    )
    assert "12 passages" in found["pipelines"].seen
    (trial,) = parts.asked
    assert trial["ask"]["model"] == "extractive/quotes"


async def test_a_stack_that_does_not_run_is_one_failure(make_settings: MakeSettings, ask: Ask) -> None:
    found = await ask(make_settings(), "stack", "open-webui", "pipelines", "n8n", "postgres")
    assert (found["stack"].state, found["stack"].todo) == ("failed", "start the stack")
    assert {finding.state for part, finding in found.items() if part != "stack"} == {"skipped"}


Break = Callable[[Parts], object]


@pytest.mark.parametrize(
    ("attribute", "value", "part", "seen", "todo"),
    [
        (
            "published",
            False,
            "n8n webhook",
            "no workflow with the path answer-question is published",
            "ragline provision",
        ),
        ("webhook_key", "another", "n8n answer", "the webhook refuses WEBHOOK_API_KEY", "ragline provision"),
        ("n8n_key", "another", "n8n api key", "n8n refuses the key in", "ragline provision"),
        ("n8n_owner", "another", "n8n owner", "with N8N_OWNER_PASSWORD", "set N8N_OWNER_EMAIL and"),
        ("n8n_ready", False, "n8n", "is not ready (status 503)", "the log of n8n"),
        ("internal_key", "another", "pipelines key", "another INTERNAL_API_KEY", "stop the stack"),
        ("shown", [], "open-webui models", "its connection to", "GATEWAY_API_KEY"),
        ("admin", "another", "open-webui models", "with OPEN_WEBUI_ADMIN_PASSWORD", "in .env"),
        ("answer", b"no stream of n8n\n", "n8n answer", "is not n8n's stream", "check its webhook"),
    ],
)
async def test_what_is_wrong_is_said_with_the_one_thing_to_do(
    settings: StackSettings, parts: Parts, ask: Ask, attribute: str, value: object, part: str, seen: str, todo: str
) -> None:
    setattr(parts, attribute, value)
    found = (await ask(settings, part.partition(" ")[0]))[part]
    assert found.state == "failed"
    assert seen in found.seen
    assert todo in found.todo


async def test_a_workflow_that_is_not_published_is_not_tried(settings: StackSettings, parts: Parts, ask: Ask) -> None:
    parts.published = False
    found = await ask(settings, "n8n")
    assert found["n8n answer"].state == "skipped"
    assert not parts.asked


async def test_a_webhook_without_a_key_is_a_failure(settings: StackSettings, parts: Parts, ask: Ask) -> None:
    parts.webhook_key = None  # type: ignore[assignment]
    found = (await ask(settings, "n8n"))["n8n webhook"]
    assert found.state == "failed"
    assert "anybody who reaches it reads documents" in found.seen


async def test_a_workflow_that_fails_says_at_which_step(settings: StackSettings, parts: Parts, ask: Ask) -> None:
    parts.answer = n8n.chunk("error", "The service refused the connection", "Find passages")
    found = (await ask(settings, "n8n"))["n8n answer"]
    assert found.state == "failed"
    assert "Find passages" in found.seen


async def test_another_version_is_a_warning(settings: StackSettings, parts: Parts, ask: Ask) -> None:
    parts.version = "0.0.1"
    found = (await ask(settings, "pipelines"))["pipelines"]
    assert (found.state, found.todo) == ("warning", "stop the stack and start it again")


async def test_a_choice_that_open_webui_does_not_list_yet_is_a_warning(
    parts: Parts, make_settings: MakeSettings, settings: StackSettings, ask: Ask
) -> None:
    more = settings.model_copy(update={"llm_choices": "extractive/quotes"})
    found = (await ask(more, "open-webui"))["open-webui models"]
    assert found.state == "warning"
    assert "company-documents:extractive/quotes" in found.seen


async def test_another_program_on_a_part_s_port_is_said_so(settings: StackSettings, ask: Ask) -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="It works!", content_type="text/html")

    app = web.Application()
    app.router.add_get("/{any:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    elsewhere = settings.model_copy(update={"pipelines_url": f"http://127.0.0.1:{runner.addresses[0][1]}"})
    found = (await ask(elsewhere, "pipelines"))["pipelines"]
    await runner.cleanup()
    assert "another program answers" in found.seen
    assert "PIPELINES_PORT" in found.todo
