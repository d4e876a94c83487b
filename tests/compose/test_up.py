"""`docker compose up` from nothing: every part is there, and the first question is answered, without a click."""

from __future__ import annotations

from tests.compose.conftest import SOURCE, Arrival
from tests.compose.deployment import ONE_SHOTS, Deployment, Images
from tests.stack import FAST

FIRST_ANSWER_S = 120
"""With the images present, on two cores that do nothing else; a model's download apart."""


def test_the_first_cited_answer_takes_two_minutes_at_most(arrival: Arrival) -> None:
    print(f"\nup: {arrival.up_s:.0f} s, first cited answer: {arrival.answer_s:.0f} s")
    assert arrival.heard.error == ""
    assert "[1]" in arrival.heard.text
    assert arrival.heard.citations[0].startswith(SOURCE)
    assert arrival.answer_s <= FIRST_ANSWER_S


def test_the_answer_is_streamed_by_the_model_that_was_pulled(arrival: Arrival, images: Images) -> None:
    assert arrival.heard.first_token_ms < arrival.heard.total_ms - 250
    if images == "stand-in":
        assert arrival.heard.usage["answered_by"] == f"ollama/{FAST}"


def test_every_part_is_healthy_and_every_one_shot_has_ended_well(stack: Deployment) -> None:
    found = {container.service: container.health for container in stack.containers()}
    services = stack.compose("config", "--services").split()
    assert found == {service: "exited 0" if service in ONE_SHOTS else "healthy" for service in services}


def test_nothing_was_restarted_on_the_way(arrival: Arrival) -> None:
    assert {
        container.service: container.restarts for container in arrival.stack.containers() if container.restarts
    } == {}


def test_only_open_webui_and_the_editor_are_published_and_to_this_machine_alone(stack: Deployment) -> None:
    published = {container.service: container.published for container in stack.containers() if container.published}
    assert published == {
        "open-webui": {stack.open_webui_url.removeprefix("http://")},
        "n8n": {stack.n8n_url.removeprefix("http://")},
    }
    assert "host" not in stack.networks()
