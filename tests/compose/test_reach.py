"""Who reaches whom, and what each container may do: nothing but what it needs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from tests.compose.base_image import package_mirror
from tests.compose.deployment import ONE_SHOTS, Deployment
from tests.compose.docker import docker
from tests.compose.reach import (
    SERVICES,
    address_outside,
    addresses,
    listens,
    reached_from_foreign_container,
    reached_from_here,
    reached_from_service,
)

pytestmark = pytest.mark.stack

STORES = ("postgres", "qdrant", "object-store", "ollama")
MAY_REACH: Mapping[str, set[str]] = {
    "postgres": {"postgres"},
    "qdrant": {"qdrant"},
    "object-store": {"object-store"},
    "ollama": {"ollama"},
    "pipelines": {"postgres", "qdrant", "object-store", "ollama"},
    "pipelines-worker": {"postgres", "qdrant", "object-store", "ollama"},
    "n8n": {"postgres", "ollama"},  # the workflow with native models asks Ollama itself
    "open-webui": {"postgres", "object-store"},
}
"""Who keeps its data where. Each part reaches itself."""

REACH_OUT = {"pipelines", "pipelines-worker", "ollama"}
"""Who asks Bedrock and buckets of AWS, and fetches models."""

USERS = {
    "postgres": "999",
    "qdrant": "1000",
    "object-store": "1000",
    "pipelines": "10001",
    "pipelines-worker": "10001",
    "n8n": "1000",
    "open-webui": "1000",
    "ollama": "0",
}
"""Ollama is root, without a single capability."""

CAPABILITIES = {"CHOWN": 0, "KILL": 5, "SETGID": 6, "SETUID": 7}
"""Those that are given to anybody, by their bits."""


@pytest.fixture
def written(stack: Deployment) -> dict[str, dict[str, Any]]:
    """The services as compose understands docker-compose.yml."""
    services: dict[str, dict[str, Any]] = json.loads(stack.compose("config", "--format", "json"))["services"]
    return services


def inspected(stack: Deployment) -> dict[str, dict[str, Any]]:
    """What the engine holds each part to that runs on."""
    found = [container for container in stack.containers() if container.service not in ONE_SHOTS]
    said = json.loads(docker("inspect", *(container.id for container in found)))
    return {container.service: each for container, each in zip(found, said, strict=True)}


# --- from outside ----------------------------------------------------------------------------------------------------


def test_two_ports_listen_and_on_this_machines_own_address_alone(stack: Deployment) -> None:
    ports = {int(url.rpartition(":")[2]) for url in (stack.open_webui_url, stack.n8n_url)}
    published = {binding for container in stack.containers() for binding in container.published}
    assert published == {f"127.0.0.1:{port}" for port in ports}

    listening = {at.laddr for at in psutil.net_connections("inet") if at.status == "LISTEN" and at.laddr.port in ports}
    assert {at.ip for at in listening} <= {"127.0.0.1"}
    elsewhere = {
        found.address
        for of_interface in psutil.net_if_addrs().values()
        for found in of_interface
        if found.family.name == "AF_INET" and found.address != "127.0.0.1"
    }
    for port in ports:
        assert listens("127.0.0.1", port)
        assert not any(listens(address, port) for address in elsewhere)


def test_the_stores_cannot_be_reached_from_this_machine(stack: Deployment) -> None:
    """The others can, by who is on it and knows a container's address: their networks lead out, or are published."""
    assert reached_from_here(addresses(stack, tuple(SERVICES))) == {"open-webui", "n8n", "pipelines", "ollama"}


def test_nothing_can_be_reached_from_a_container_of_something_else(stack: Deployment) -> None:
    image = stack.variables["PIPELINES_IMAGE"]
    outside = address_outside(package_mirror())
    assert reached_from_foreign_container(image, [outside, *addresses(stack, tuple(SERVICES))]) == {outside.service}


# --- among themselves ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", MAY_REACH)
def test_a_part_reaches_the_stores_it_needs_and_no_other(stack: Deployment, service: str) -> None:
    called = [address for address in addresses(stack, STORES) if address.service != service or address.host == service]
    assert reached_from_service(stack, service, called) == MAY_REACH[service]


def test_the_gateway_asks_for_a_key_whoever_reaches_it(stack: Deployment) -> None:
    program = (
        "import urllib.request as u, urllib.error as e\n"
        "for path in ('v1/models', 'documents', 'llm/v1/models'):\n"
        "    try: u.urlopen(f'http://pipelines:8000/{path}')\n"
        "    except e.HTTPError as refused: print(refused.code)"
    )
    assert stack.exec("open-webui", "python", "-c", program).split() == ["401"] * 3


def test_only_who_asks_models_and_buckets_elsewhere_reaches_the_internet(stack: Deployment) -> None:
    outside = address_outside(package_mirror())
    with ThreadPoolExecutor() as pool:
        answered = pool.map(lambda service: reached_from_service(stack, service, [outside]), MAY_REACH)
        assert {service for service, reached in zip(MAY_REACH, answered, strict=True) if reached} == REACH_OUT


# --- what each may do ------------------------------------------------------------------------------------------------


def test_no_part_can_write_its_root(stack: Deployment) -> None:
    for service, found in inspected(stack).items():
        assert found["HostConfig"]["ReadonlyRootfs"], service
        said = stack.exec(service, "sh", "-c", "touch /x 2>&1; true", user="0")
        assert "Read-only file system" in said, service


def test_no_part_is_root_or_holds_a_capability_but_those_that_are_written(
    stack: Deployment, written: dict[str, dict[str, Any]]
) -> None:
    for container in stack.containers():
        if container.service in ONE_SHOTS:
            continue
        users = {
            line.split()[1]
            for line in docker("top", container.id, "-eo", "pid,uid,args").splitlines()[1:]
            if "docker-init" not in line
        }
        assert users == {USERS[container.service]}, container.service
        given = sum(1 << CAPABILITIES[name] for name in written[container.service].get("cap_add", []))
        status = stack.exec(container.service, "cat", "/proc/1/status")
        held = dict(re.findall(r"^(Cap\w+|NoNewPrivs):\s*(\w+)$", status, re.MULTILINE))
        assert int(held["CapBnd"], 16) == given, container.service
        assert int(held["CapEff"], 16) in (0, given), container.service
        assert held["NoNewPrivs"] == "1", container.service


def test_only_the_object_stores_first_step_has_capabilities(written: dict[str, dict[str, Any]]) -> None:
    assert {name for name, service in written.items() if service.get("cap_add")} == {"object-store"}
    assert not any(service.get("privileged") for service in written.values())


def test_every_limit_is_the_one_that_is_written(stack: Deployment, written: dict[str, dict[str, Any]]) -> None:
    for service, found in inspected(stack).items():
        host, text = found["HostConfig"], written[service]
        assert host["Memory"] == int(text["mem_limit"]) > 0, service
        assert host["NanoCpus"] == int(float(text["cpus"]) * 1e9) > 0, service
        assert host["PidsLimit"] == text["pids_limit"] > 0, service
        assert host["CapDrop"] == ["ALL"], service
        assert host["SecurityOpt"] == ["no-new-privileges:true"], service
        assert host["RestartPolicy"]["Name"] == "unless-stopped", service
        assert host["Init"], service


def test_no_log_grows_without_end(stack: Deployment) -> None:
    for service, found in inspected(stack).items():
        log = found["HostConfig"]["LogConfig"]
        assert (log["Type"], log["Config"]) == ("json-file", {"max-file": "3", "max-size": "10m"}), service


def test_no_secret_is_in_an_image_a_command_line_or_a_log(stack: Deployment) -> None:
    secrets = {
        value for name, value in stack.settings.items() if re.search("KEY|PASSWORD|SECRET", name) and len(value) > 15
    }
    assert len(secrets) >= 8
    for container in stack.containers():
        commands = docker("top", container.id, "-eo", "pid,args") if container.state == "running" else ""
        told = commands + stack.logs(container.service)
        assert not [secret for secret in secrets if secret in told], container.service
