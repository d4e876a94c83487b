"""Each part's process is killed, and each part is restarted: what readers get meanwhile, and that nothing is lost."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tenacity import Retrying, stop_after_delay, wait_fixed

from pipelines.errors import SetupFailed
from tests.compose.asking import Asker, Told, ask_once, asking
from tests.compose.conftest import QUESTION
from tests.compose.containers import Container
from tests.compose.deployment import ONE_SHOTS, Deployment
from tests.compose.docker import docker
from tests.compose.inside import Inside, Kept
from tests.e2e.test_uploads_in_open_webui import GATE, Desk

pytestmark = pytest.mark.stack
SERVICES = ("postgres", "qdrant", "object-store", "pipelines", "pipelines-worker", "n8n", "open-webui", "ollama")
BACK_S = 30
TOLD_S = 10
"""The longest that a reader may wait for an answer or a sentence while a part is away."""
READ_S = 60
"""For a document that waited to be read, after everything is back."""
MODEL_FOUND_S = 60
KILLED_BY_DOCKER = "137"


def test_every_part_that_runs_on_is_killed_here(stack: Deployment) -> None:
    assert {container.service for container in stack.containers()} - set(ONE_SHOTS) == set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_part_is_back_and_nothing_is_lost(inside: Inside, service: str, slow: str, figures: list[str]) -> None:
    stack = inside.stack
    desk = Desk(f"{stack.open_webui_url}/api/v1", inside.reader.token)
    uploaded = desk.upload(f"{service}.md", GATE)
    before = inside.kept()
    late = inside.add(f"late-{service}.md", f"# Late\n\nThe late word of {service} is Lantern.\n")

    with ThreadPoolExecutor(1) as pool, asking(inside.reader, QUESTION) as asker:
        in_the_middle = pool.submit(ask_once, inside.reader, f"{QUESTION} I ask before {service} goes.", model=slow)
        time.sleep(1.5)
        was, killed = stack.kill(service), time.monotonic()
        back_s = back_again(stack, was) - killed
        answer_s = answered_again(asker, killed)
    figures.append(line(service, back_s, answer_s, asker, in_the_middle.result()))

    assert "half" not in asker.ends() | {in_the_middle.result().end}
    assert "unreachable" not in asker.ends() or service == "open-webui"
    assert asker.slowest() < TOLD_S
    assert back_s < BACK_S
    stack.wait_healthy()
    nothing_lost(inside, before, late)
    answered_by_the_model(inside)
    assert desk.file(uploaded)["status"] == "completed"
    desk.call("DELETE", f"/files/{uploaded}")


def test_parts_that_are_restarted_end_by_themselves_and_answer_again(inside: Inside) -> None:
    stack = inside.stack
    running = {service: stack.container(service) for service in SERVICES}
    began = time.time()
    stack.compose("restart", "--no-deps", *SERVICES)
    ended = {service: exit_codes(container, since=began) for service, container in running.items()}
    assert {service for service, codes in ended.items() if codes in ([], [KILLED_BY_DOCKER])} == set(), ended
    stack.wait_healthy()
    answered_by_the_model(inside)


def back_again(stack: Deployment, was: Container) -> float:
    """When the container that was killed is healthy again; raises SetupFailed when it is not within two minutes."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        now = stack.container(was.service)
        if now.restarts > was.restarts and now.health == "healthy":
            return time.monotonic()
        time.sleep(0.2)
    raise SetupFailed(f"{was.service} did not come back: {stack.health()}")


def answered_again(asker: Asker, killed: float) -> float:
    """Seconds from the kill until a reader who asks after it is answered."""
    for attempt in Retrying(stop=stop_after_delay(120), wait=wait_fixed(0.2), reraise=True):
        with attempt:
            seconds = asker.answered_after(killed)
            assert seconds is not None, asker.said()
    assert seconds is not None
    return seconds


def nothing_lost(inside: Inside, before: Kept, late: str) -> None:
    """Everything is as it was, and the document that was put in at the last moment has been read."""
    for attempt in Retrying(stop=stop_after_delay(READ_S), wait=wait_fixed(0.5), reraise=True):
        with attempt:
            assert inside.documents()[late]["state"] == "ready"
    now = inside.kept()
    assert now.documents.items() >= before.documents.items()
    assert set(now.documents) == {*before.documents, late}
    assert now.objects.items() >= before.objects.items()
    assert all(now.vectors[name] >= number for name, number in before.vectors.items())
    for what in ("users", "chats", "functions", "workflows", "credentials"):
        assert getattr(now, what) == getattr(before, what), what


def answered_by_the_model(inside: Inside) -> None:
    """The model itself answers, though quotes may have stood in for it; it is looked for every half a minute."""
    for attempt in Retrying(stop=stop_after_delay(MODEL_FOUND_S), wait=wait_fixed(1), reraise=True):
        with attempt:
            told = ask_once(inside.reader, f"{QUESTION} I ask at {time.monotonic()}.")
            assert (told.end, told.by) == ("answered", f"ollama/{inside.stack.variables['OLLAMA_MODEL']}"), told.words


def exit_codes(container: Container, *, since: float) -> list[str]:
    """With what the container's process has ended since a moment."""
    what = ("--filter", f"container={container.id}", "--filter", "event=die")
    window = ("--since", f"{since:.3f}", "--until", f"{time.time():.3f}")
    return docker("events", *what, *window, "--format", "{{.Actor.Attributes.exitCode}}").split()


def line(service: str, back_s: float, answer_s: float, asker: Asker, in_the_middle: Told) -> str:
    """One row of the table: what README and the maintainers are told of this part's death."""
    said = "; ".join(asker.said()) or "answers all along"
    middle = in_the_middle.words if in_the_middle.end != "answered" else "a whole answer"
    return (
        f"killed {service}: healthy after {back_s:.1f} s, an answer after {answer_s:.1f} s, longest wait "
        f"{asker.slowest():.1f} s\n    readers were told: {said}\n    who was being answered: {middle}"
    )
