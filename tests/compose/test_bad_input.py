"""What a person may get wrong before anything runs: each ends soon, in one line that says what to do.

Only the service in question is started. What comes from Docker itself and cannot be worded by us is explained in
compose/README.md, "When it does not start"; that it is there is tested too.
"""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.deployment import Deployment, Images, deployed
from tests.compose.docker import CHECKOUT, NEWEST_COMPOSE
from tests.compose.person import Seen, type_compose, type_in

EXPLAINED = (CHECKOUT / "compose/README.md").read_text(encoding="utf-8").partition("## When it does not start")[2]
SOON_S = 60


@pytest.fixture(scope="module")
def fresh(images: Images) -> Iterator[Deployment]:
    """A project of which nothing runs."""
    with deployed("ragline-bad-input", images=images) as stack:
        yield stack


@pytest.fixture
def stack(fresh: Deployment) -> Iterator[Deployment]:
    """Nothing of it runs, and its .env is whole; both are so again afterwards."""
    env, variables = (fresh.folder / ".env").read_text(), dict(fresh.variables)
    yield fresh
    (fresh.folder / ".env").write_text(env)
    fresh.variables.clear()
    fresh.variables.update(variables)
    fresh.down(volumes=True)


def write(stack: Deployment, name: str, value: str) -> None:
    """Put another value into .env."""
    env = stack.folder / ".env"
    env.write_text(re.sub(f"(?m)^{name}=.*$", f"{name}={value}", env.read_text()))


def only(stack: Deployment, service: str, **changed: str) -> Path:
    """A file that lets one service start without the others."""
    file = stack.folder / f"only-{service}.yml"
    lines = [f"    {name}: {value}" for name, value in {"depends_on": "!reset null", **changed}.items()]
    file.write_text("\n".join(["services:", f"  {service}:", *lines, ""]))
    return file


def running(stack: Deployment) -> set[str]:
    return {container.service for container in stack.containers() if container.state == "running"}


# --- .env -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["docker compose", str(NEWEST_COMPOSE)], ids=["oldest", "newest"])
def test_without_env_it_says_to_run_make_env(stack: Deployment, program: str, images: Images) -> None:
    if images == "real" and "/" in program:
        pytest.skip("a second version of Compose comes with .ci/docker.sh only")
    checkout = stack.folder / "checkout"
    shutil.copytree(CHECKOUT / "compose", checkout / "compose", dirs_exist_ok=True)
    shutil.copy(CHECKOUT / "docker-compose.yml", checkout)

    seen = type_in(checkout, *program.split(), "up", "-d")

    assert seen.code != 0
    assert re.search(r"required variable \w+ is missing a value: run `make env`$", seen.lines[-1])
    assert seen.seconds < SOON_S


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("GATEWAY_API_KEY", "change-me", "GATEWAY_API_KEY is a placeholder or shorter than 16 characters; `make env`"),
        ("IDENTITY_SECRET", "secret", "IDENTITY_SECRET is a placeholder or shorter than 16 characters; `make env`"),
        ("POSTGRES_PASSWORD", "change-me", "POSTGRES_PASSWORD is a placeholder or shorter than 16 characters; `make"),
        ("OBJECT_STORE_SECRET_KEY", "short", "OBJECT_STORE_SECRET_KEY is shorter than 16 characters; `make env`"),
        ("QDRANT_API_KEY", "change-me", "QDRANT_API_KEY is a placeholder; `make env`"),
        ("POSTGRES_PASSWORD", "a/slash/in/the/middle", "POSTGRES_PASSWORD may have letters, digits and -._~ only"),
        ("DEFAULT_ACCESS", "sometimes", "DEFAULT_ACCESS must be everyone or nobody"),
    ],
)
def test_a_setting_that_is_none_ends_the_start_in_one_line(stack: Deployment, name: str, value: str, said: str) -> None:
    write(stack, name, value)

    seen = type_compose(stack, "up", "check-settings")

    assert seen.about("ragline:").startswith(f"ragline: {said}")
    assert "exited with code 1" in seen.lines[-1]
    assert seen.seconds < SOON_S


def test_in_the_foreground_the_line_is_there_and_nothing_else_has_started(stack: Deployment) -> None:
    write(stack, "WEBHOOK_API_KEY", "change-me")

    seen = type_compose(stack, "up")

    assert seen.code == 1
    assert seen.about("ragline:").startswith("ragline: WEBHOOK_API_KEY is a placeholder")
    assert seen.lines[-1] == 'service "check-settings" didn\'t complete successfully: exit 1'
    assert {container.state for container in stack.containers()} == {"created", "exited"}


def test_in_the_background_it_names_the_service_whose_log_says_it(stack: Deployment) -> None:
    write(stack, "WEBHOOK_API_KEY", "change-me")

    seen = type_compose(stack, "up", "-d")

    assert seen.code == 1
    assert seen.lines[-1] == 'service "check-settings" didn\'t complete successfully: exit 1'
    assert seen.lines[-1] in EXPLAINED
    log = type_compose(stack, "logs", "check-settings")
    assert log.about("ragline:").startswith("ragline: WEBHOOK_API_KEY is a placeholder")


# --- this machine -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("service", "variable"), [("open-webui", "OPEN_WEBUI_PORT"), ("n8n", "N8N_PORT")])
def test_a_port_in_use_is_named_by_docker_and_its_setting_by_the_page(
    stack: Deployment, service: str, variable: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        stack.variables[variable] = str(port)

        seen = type_compose(stack, "up", "-d", service, files=[only(stack, service)])

    assert seen.code != 0
    assert f"127.0.0.1:{port}" in seen.lines[-1]
    assert re.search("address already in use|port is already allocated", seen.lines[-1])
    assert "address already in use" in EXPLAINED
    assert "port is already allocated" in EXPLAINED
    assert f"`{variable}`" in EXPLAINED
    assert service not in running(stack)


def test_with_the_port_free_again_the_same_command_starts_it(stack: Deployment) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        stack.variables["N8N_PORT"] = str(taken.getsockname()[1])
        file = only(stack, "n8n")
        assert type_compose(stack, "up", "-d", "n8n", files=[file]).code != 0

    assert type_compose(stack, "up", "-d", "n8n", files=[file]).code == 0
    assert "n8n" in running(stack)


def test_an_image_for_other_processors_is_not_started(stack: Deployment) -> None:
    foreign = only(stack, "qdrant", platform="linux/arm64")

    seen = type_compose(stack, "up", "-d", "qdrant", files=[foreign])

    # What is said depends on the registry, if one can be reached: a manifest that does not match, or none at all.
    assert seen.code != 0
    assert "qdrant" not in running(stack)
    assert seen.seconds < SOON_S
    assert "no matching manifest" in EXPLAINED


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("echo 2.20.3", "docker compose is 2.20.3 here and must be 2.26 or newer: update Docker's Compose plugin."),
        ("echo v2.25.0", "docker compose is 2.25.0 here and must be 2.26 or newer: update Docker's Compose plugin."),
        ("exit 1", "docker has no Compose plugin here: the containers need 2.26 or newer."),
    ],
)
def test_an_old_compose_is_named_by_the_first_of_the_two_commands(stack: Deployment, version: str, said: str) -> None:
    programs = stack.folder / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "docker").write_text(f"#!/bin/sh\n{version}\n")
    (programs / "docker").chmod(0o755)

    seen = type_in(stack.folder, "sh", "compose/make-env.sh", variables={"PATH": f"{programs}:/usr/bin:/bin"})

    assert seen.lines == (f"make env: {said}",)


# --- the model --------------------------------------------------------------------------------------------------------


@pytest.fixture
def ollama(stack: Deployment) -> Deployment:
    stack.variables["LLM_CHOICES"] = ""
    return stack


def pulled(stack: Deployment, **told: str) -> Seen:
    """What `up ollama-pull` shows beside an Ollama that is told how to fail."""
    file = stack.folder / "pull.yml"
    lines = [f"      {name}: {value}" for name, value in told.items()]
    file.write_text("\n".join(["services:", "  ollama:", "    environment:", *lines, ""]) if told else "services: {}\n")
    return type_compose(stack, "up", "ollama-pull", files=[file])


@pytest.mark.parametrize("model", ["llama9:1b", "https://example.org/model"])
def test_a_model_that_does_not_exist_is_named_with_where_to_find_one(ollama: Deployment, model: str) -> None:
    ollama.variables["OLLAMA_MODEL"] = model

    seen = pulled(ollama)

    assert seen.about("ragline:") == (
        f"ragline: Ollama has no model '{model}': set OLLAMA_MODEL (or what else names it) in .env to a name from "
        "ollama.com/library, then docker compose up -d ollama-pull."
    )
    assert "exited with code 1" in seen.lines[-1]
    assert seen.seconds < SOON_S


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("offline", "Ollama does not reach the internet, and so cannot fetch {model}: answers quote your documents"),
        ("full", "The disk that Ollama keeps models on is full: free some space, or choose a smaller OLLAMA_MODEL"),
        ("old", "The model '{model}' needs a newer Ollama: set OLLAMA_IMAGE to one, or choose another."),
    ],
)
def test_a_model_that_cannot_be_fetched_is_one_line_and_the_log_has_it_later(
    ollama: Deployment, images: Images, fault: str, said: str
) -> None:
    if images == "real":
        pytest.skip("only the stand-in can be told how to fail")

    seen = pulled(ollama, STAND_IN_PULL_FAULT=fault)

    sentence = f"ragline: {said.format(model=ollama.variables['OLLAMA_MODEL'])}"
    assert seen.about("ragline:").startswith(sentence)
    assert "exited with code 1" in seen.lines[-1]
    assert type_compose(ollama, "logs", "ollama-pull").about("ragline:").startswith(sentence)


def test_with_the_internet_back_the_command_that_was_named_fetches_it(ollama: Deployment, images: Images) -> None:
    if images == "real":
        pytest.skip("only the stand-in can be told how to fail")
    assert "docker compose up -d ollama-pull" in pulled(ollama, STAND_IN_PULL_FAULT="offline").about("ragline:")

    assert pulled(ollama).about("is there") == f"{ollama.variables['OLLAMA_MODEL']}: is there"
