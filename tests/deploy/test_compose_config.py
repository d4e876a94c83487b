"""The compose files: every documented combination is clean, and no service of any has more than it needs."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipelines.errors import SetupFailed
from pipelines.ingest.access import AccessRules
from tests.compose.binaries import FETCHED, compose_versions
from tests.deploy.rendered import ALONE, COMBINATIONS, ROOT, SECRETS, TOGETHER, config, run_config, services

NOT_OVERLAYS = {"parts", "prometheus"}
"""Files of compose/ that are named by overlays, and by nobody else."""

ONE_SHOTS = {"check-settings", "prepare", "provision", "ollama-pull", "open-webui-first"}

PUBLISHED = {
    "open-webui": ["127.0.0.1:3000->8080/tcp"],
    "n8n": ["127.0.0.1:5678->5678/tcp"],
}
PUBLISHED_BY = {
    "scale": {"open-webui": [], "proxy": ["127.0.0.1:3000->8080/tcp"]},
    "tls": {"open-webui": [], "n8n": [], "proxy": ["*:80->80/tcp", "*:443->443/tcp", "*:443->443/udp"]},
    "observability": {"prometheus": ["127.0.0.1:9090->9090/tcp"]},
    "dev": {
        "pipelines": ["127.0.0.1:8000->8000/tcp"],
        "postgres": ["127.0.0.1:5432->5432/tcp"],
        "qdrant": ["127.0.0.1:6333->6333/tcp"],
        "object-store": ["127.0.0.1:8333->8333/tcp"],
    },
}
"""What an overlay publishes instead of, or beside, what is published without it."""

ANSWERING = {"pipelines", "pipelines-worker"}
N8N = {"n8n", "n8n-worker", "n8n-webhook"}
OPEN_WEBUI = {"open-webui", "open-webui-first"}
QDRANT = {"qdrant", "qdrant-2", "qdrant-3"}

MEMBERS = {
    "edge": {"open-webui", "n8n", "proxy", "prometheus"},
    "app": {"open-webui", "pipelines", "provision", "proxy", "prometheus"} | N8N,
    "database": {"postgres", "prepare"} | ANSWERING | N8N | OPEN_WEBUI,
    "index": {"prometheus"} | QDRANT | ANSWERING,
    "objects": {"object-store", "prepare", "open-webui"} | ANSWERING,
    "models": {"ollama", "ollama-pull"} | ANSWERING | N8N,
    "queue": {"valkey", "open-webui"} | ANSWERING | N8N,
    "outbound": {"ollama", "proxy"} | ANSWERING,
    "development": {"postgres", "qdrant", "object-store"},
}
"""Who may be where: the whole of who can reach the database, the index and the object store."""

CLOSED = {"app", "database", "index", "objects", "models", "queue"}
WITHOUT_THE_HOST = CLOSED - {"app"}

OUR_KEYS = {
    *("GATEWAY_API_KEY", "INTERNAL_API_KEY", "WEBHOOK_API_KEY", "IDENTITY_SECRET"),
    *("POSTGRES_PASSWORD", "QDRANT_API_KEY", "OBJECT_STORE_SECRET_KEY"),
}
OPEN_WEBUI_KEYS = {
    *("POSTGRES_PASSWORD", "OPEN_WEBUI_SECRET_KEY", "OPEN_WEBUI_ADMIN_PASSWORD", "OBJECT_STORE_SECRET_KEY"),
    *("GATEWAY_API_KEY", "IDENTITY_SECRET"),
}
TOLD: dict[str, set[str]] = {
    **{name: set(SECRETS) for name in ("check-settings", "prepare", "provision")},
    **{name: OUR_KEYS for name in (*ANSWERING, "ollama-pull")},
    **{name: {"POSTGRES_PASSWORD", "N8N_ENCRYPTION_KEY", "INTERNAL_API_KEY"} for name in N8N},
    **{name: OPEN_WEBUI_KEYS for name in OPEN_WEBUI},
    **{name: {"QDRANT_API_KEY"} for name in (*QDRANT, "prometheus")},
    "postgres": {"POSTGRES_PASSWORD"},
    "object-store": {"OBJECT_STORE_SECRET_KEY"},
    **{name: set() for name in ("ollama", "valkey", "proxy")},
}
"""Which secrets of `.env` a service is told, in whatever variable."""

NOT_ROOT_BY_THEIR_IMAGE = {"prometheus", *ONE_SHOTS, *ANSWERING, *N8N, *QDRANT} - {"open-webui-first"}
ROOT_BECAUSE = {
    "object-store": "its entrypoint gives a fresh volume to uid 1000 and goes on as that",
    "ollama": "a fresh volume at its folder belongs to root",
    "proxy": "a fresh volume at its folder belongs to root",
}
CAPABILITIES = {"object-store": ["CHOWN", "SETUID", "SETGID", "KILL"], "proxy": ["NET_BIND_SERVICE"]}

WITHOUT_DIGEST = {
    "ragline/pipelines": "it is built here",
    "ghcr.io/open-webui/open-webui": "its digest is not known to us; compose/README.md says so",
}

STRONGEST_CPUS = 2
"""The engine refuses a limit above the cores of the machine."""

ids = ["+".join(overlays) or "alone" for overlays in COMBINATIONS]
every_combination = pytest.mark.parametrize("overlays", COMBINATIONS, ids=ids)
every_compose = pytest.mark.parametrize("which", [0, -1], ids=["oldest", "newest"])


def test_the_oldest_supported_compose_is_tried_and_a_newer_one_where_both_have_been_fetched() -> None:
    versions = [compose.version[:2] for compose in compose_versions()]

    assert versions[0] >= (2, 26), "an older one is not supported, and would prove nothing"
    if FETCHED.is_dir():
        assert versions[0] == (2, 26)
        assert versions[-1] > (2, 26)


def test_without_any_compose_it_is_said_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.compose.binaries.environment", lambda: {"PATH": str(tmp_path)})

    with pytest.raises(SetupFailed, match=r"run \.ci/docker\.sh"):
        compose_versions(tmp_path)


@every_compose
@every_combination
def test_every_documented_combination_is_clean(overlays: tuple[str, ...], which: int) -> None:
    rendered = config(overlays, compose_versions()[which])

    schema = files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    jsonschema.Draft202012Validator(json.loads(schema.read_text("utf-8"))).validate(rendered)


def test_every_overlay_is_documented_and_named_in_the_order_of_the_table() -> None:
    there = {file.stem for file in (ROOT / "compose").glob("*.yml")} - NOT_OVERLAYS

    assert set(ALONE) == there
    assert {name for overlays in TOGETHER for name in overlays} == there
    for overlays in TOGETHER:
        assert list(overlays) == sorted(overlays, key=ALONE.index)


def test_the_files_stay_short_and_say_what_they_are_for() -> None:
    assert len((ROOT / "docker-compose.yml").read_text("utf-8").splitlines()) <= 200
    for name in (*ALONE, "parts"):
        lines = (ROOT / f"compose/{name}.yml").read_text("utf-8").splitlines()
        head = [line.split()[1] for line in lines if re.match(r"# (Purpose|Usage|Changes): ", line)]
        assert len(lines) <= 60, name
        assert head == ["Purpose:", "Usage:", "Changes:"], name


@every_compose
def test_without_a_dotenv_one_line_says_make_env(which: int) -> None:
    done = run_config((), compose_versions()[which], {})

    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert "run `make env`" in done.stderr


@pytest.mark.parametrize("missing", [*SECRETS, "DEFAULT_ACCESS"])
def test_every_secret_that_is_missing_is_named(missing: str) -> None:
    dotenv = {**SECRETS, "DEFAULT_ACCESS": "everyone"}
    del dotenv[missing]

    said = run_config((), compose_versions()[-1], dotenv).stderr

    assert missing in said
    assert "run `make env`" in said


@every_combination
def test_every_service_is_limited_and_closed_in(overlays: tuple[str, ...]) -> None:
    for name, service in services(overlays).items():
        assert service["restart"] == ("no" if name in ONE_SHOTS else "unless-stopped"), name
        assert 0 < int(service["mem_limit"]) <= 8 * 1024**3, name
        assert 0 < float(service["cpus"]) <= STRONGEST_CPUS, name
        assert service["pids_limit"] <= 1024, name
        assert service["init"] is True, name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service.get("cap_add", []) == CAPABILITIES.get(name, []), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}, name
        assert {"privileged", "container_name", "devices", "pid", "ipc", "userns_mode"}.isdisjoint(service), name
        assert service.get("network_mode") in (None, "none"), name


@every_combination
def test_nothing_is_root_without_a_reason(overlays: tuple[str, ...]) -> None:
    for name, service in services(overlays).items():
        user = str(service.get("user", "root" if name not in NOT_ROOT_BY_THEIR_IMAGE else "its image's"))
        is_root = user.partition(":")[0] in ("root", "0")
        assert is_root == (name in ROOT_BECAUSE), name


@every_combination
def test_whoever_stays_has_a_health_check_and_whoever_waits_waits_for_it(overlays: tuple[str, ...]) -> None:
    found = services(overlays)
    for name, service in found.items():
        assert ("healthcheck" in service) == (name not in ONE_SHOTS), name
        for needed, how in service.get("depends_on", {}).items():
            ends = "service_completed_successfully" if needed in ONE_SHOTS else "service_healthy"
            assert how["condition"] == ends, f"{name} waits for {needed}"
    assert {name for name, service in found.items() if not service.get("depends_on")} == {"check-settings"}


@every_combination
def test_a_service_begins_to_fail_only_after_it_had_time_to_start(overlays: tuple[str, ...]) -> None:
    for name, service in services(overlays).items():
        check = service.get("healthcheck", {})
        assert "start_interval" not in check, "an engine before 25 refuses it"
        if check:
            assert check["timeout"] == check["interval"] == "5s", name
            assert check["start_period"] in ("1m0s", "3m0s"), name


@every_combination
def test_only_what_is_listed_is_published(overlays: tuple[str, ...]) -> None:
    expected = dict(PUBLISHED)
    for overlay in overlays:
        expected.update(PUBLISHED_BY.get(overlay, {}))

    published = {
        name: [_port(port) for port in service.get("ports", [])] for name, service in services(overlays).items()
    }

    assert {name: ports for name, ports in published.items() if ports} == {
        name: ports for name, ports in expected.items() if ports
    }


@every_combination
def test_only_who_must_reaches_the_database_the_index_and_the_object_store(overlays: tuple[str, ...]) -> None:
    found = services(overlays)
    for network, members in MEMBERS.items():
        here = {name for name, service in found.items() if network in (service.get("networks") or {})}
        assert here <= members, network
    for name, service in found.items():
        assert set(service.get("networks") or {}) <= MEMBERS.keys(), name


def test_the_table_of_members_names_nobody_who_is_never_there() -> None:
    seen: dict[str, set[str]] = {network: set() for network in MEMBERS}
    for overlays in COMBINATIONS:
        for name, service in services(overlays).items():
            for network in service.get("networks") or {}:
                seen[network].add(name)

    assert seen == MEMBERS


@every_combination
def test_what_is_closed_leads_nowhere_and_not_even_this_machine_is_in_it(overlays: tuple[str, ...]) -> None:
    for name, network in config(overlays)["networks"].items():
        options = network.get("driver_opts", {})
        assert network.get("internal", False) == (name in CLOSED), name
        assert (options.get("com.docker.network.bridge.inhibit_ipv4") == "true") == (name in WITHOUT_THE_HOST), name
        if name in ("edge", "development"):
            assert options["com.docker.network.bridge.enable_ip_masquerade"] == "false"


@every_combination
def test_who_needs_the_internet_has_no_other_way_that_a_route_could_take(overlays: tuple[str, ...]) -> None:
    """Of two networks that lead out, the engine takes one for everything; it must not be the one that leads nowhere."""
    for name, service in services(overlays).items():
        leading_out = set(service.get("networks") or {}) - CLOSED
        assert len(leading_out) <= 1, name


@every_combination
def test_secrets_go_to_those_who_need_them_and_only_in_the_environment(overlays: tuple[str, ...]) -> None:
    for name, service in services(overlays).items():
        told = json.dumps(service.get("environment", {}))
        elsewhere = json.dumps({key: value for key, value in service.items() if key != "environment"})
        assert {secret for secret, value in SECRETS.items() if value in told} == TOLD[name], name
        assert not [secret for secret, value in SECRETS.items() if value in elsewhere], name


@every_combination
def test_every_image_has_a_version_and_a_digest(overlays: tuple[str, ...]) -> None:
    for service in services(overlays).values():
        match = re.fullmatch(r"([^:@]+):([^@]+)(?:@sha256:([0-9a-f]{64}))?", service["image"])
        assert match, service["image"]
        name, version, digest = match.groups()
        assert re.search(r"\d+\.\d+", version), service["image"]
        assert (digest is None) == (name in WITHOUT_DIGEST), service["image"]


@every_combination
def test_what_is_kept_lies_in_named_volumes_and_folders_are_read_only(overlays: tuple[str, ...]) -> None:
    rendered = config(overlays)
    used = set()
    for name, service in rendered["services"].items():
        for volume in service.get("volumes") or []:
            if volume["type"] == "volume":
                used.add(volume["source"])
            else:
                assert volume["read_only"], f"{name}: {volume['target']}"
                assert "docker.sock" not in volume["source"]
    assert used == set(rendered["volumes"])


def test_a_folder_of_documents_that_is_not_there_is_an_error_and_is_not_made() -> None:
    for name in ANSWERING:
        given = [volume for volume in services(())[name]["volumes"] if volume["type"] == "bind"]
        assert [volume["target"] for volume in given] == ["/documents", "/etc/ragline/access.yaml"]
        assert not any(volume["bind"].get("create_host_path") for volume in given)


def test_the_minimal_stack_fits_into_6_gb() -> None:
    staying = {name: service for name, service in services(("minimal",)).items() if name not in ONE_SHOTS}

    assert sum(int(service["mem_limit"]) for service in staying.values()) <= 6 * 1024**3
    assert staying["pipelines"]["environment"]["OLLAMA_MODEL"] == "llama3.2:1b"


@pytest.mark.parametrize("overlays", [(), ("minimal",), ("scale",)], ids=lambda names: "+".join(names) or "alone")
def test_a_worker_has_the_memory_that_its_readers_may_take(overlays: tuple[str, ...]) -> None:
    worker = services(overlays)["pipelines-worker"]
    environment = worker["environment"]
    readers = int(environment["INGEST_WORKERS"]) * int(environment.get("READ_MEMORY_MB") or 1536)

    assert int(worker["mem_limit"]) >= (readers + 384) * 1024**2


def test_with_bedrock_nothing_of_ollama_is_left_and_the_chain_of_credentials_is_passed_on() -> None:
    rendered = config(("bedrock",))

    assert not [name for name in (*rendered["services"], *rendered["volumes"]) if "ollama" in name]
    for name in ("pipelines", "pipelines-worker"):
        environment = rendered["services"][name]["environment"]
        assert environment["LLM_PROVIDER"] == "bedrock"
        assert {
            "AWS_PROFILE",
            "AWS_ACCESS_KEY_ID",
            "AWS_SESSION_TOKEN",
            "AWS_BEARER_TOKEN_BEDROCK",
        } <= environment.keys()


def test_a_gpu_is_handed_to_ollama() -> None:
    (device,) = services(("gpu",))["ollama"]["deploy"]["resources"]["reservations"]["devices"]

    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_in_queue_mode_all_of_n8n_knows_the_queue_and_the_key() -> None:
    found = services(("scale",))

    for name in N8N:
        environment = found[name]["environment"]
        assert (environment["EXECUTIONS_MODE"], environment["QUEUE_BULL_REDIS_HOST"]) == ("queue", "valkey")
        assert environment["N8N_ENCRYPTION_KEY"] == SECRETS["N8N_ENCRYPTION_KEY"]
    for name in ("n8n-worker", "n8n-webhook", "pipelines", "pipelines-worker", "open-webui"):
        assert found[name]["deploy"]["replicas"] == 2
    assert found["pipelines"]["environment"]["WORKFLOW_URL"] == "http://n8n-webhook:5678"


@pytest.mark.parametrize("overlays", [("tls",), ("scale", "tls")], ids="+".join)
def test_behind_tls_cookies_are_sent_over_it_only(overlays: tuple[str, ...]) -> None:
    found = services(overlays)

    assert found["n8n"]["environment"]["N8N_SECURE_COOKIE"] == "true"
    assert found["open-webui"]["environment"]["WEBUI_AUTH_COOKIE_SECURE"] == "true"
    assert found["open-webui"]["environment"]["CORS_ALLOW_ORIGIN"] == "https://chat.example.org"


def test_the_shipped_access_rules_are_understood_and_so_is_their_example(tmp_path: Path) -> None:
    shipped = ROOT / "compose/access.yaml"
    example = [line[2:] for line in shipped.read_text("utf-8").splitlines() if re.match(r"# ( |rules:)", line)]
    (tmp_path / "access.yaml").write_text("\n".join(example), "utf-8")

    assert AccessRules.load(shipped, "nobody").prefixes == ()
    assert len(AccessRules.load(tmp_path / "access.yaml", "nobody").prefixes) == 3


def _port(port: dict[str, Any]) -> str:
    return f"{port.get('host_ip', '*')}:{port['published']}->{port['target']}/{port['protocol']}"
