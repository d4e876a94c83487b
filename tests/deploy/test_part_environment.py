"""n8n, Open WebUI and pipelines are told the same natively and in containers, but for what the place makes differ."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.native import n8n, open_webui
from pipelines.native.layout import Layout
from pipelines.native.postgres import server_url
from pipelines.settings import Settings, StackSettings
from tests.deploy.compose_files import ROOT, service_environment

REQUIRED = [name for name, field in StackSettings.model_fields.items() if field.is_required()]
DOTENV = {
    **{name.upper(): f"fresh{name.replace('_', '')}{'x' * 20}" for name in REQUIRED},
    "DEFAULT_ACCESS": "everyone",
    "QDRANT_API_KEY": "fresh-key-of-the-index",
    "OBJECT_STORE_SECRET_KEY": "fresh-key-of-the-object-store",
}
CHOSEN = {
    **DOTENV,
    "OPEN_WEBUI_ADMIN_EMAIL": "anna@example.org",
    "N8N_OWNER_EMAIL": "owen@example.org",
    "MAX_DOCUMENT_MB": "30",
    "N8N_PORT": "5690",
    "OPEN_WEBUI_PORT": "3010",
    "OPEN_WEBUI_URL": "https://chat.example.org",
}
"""A `.env` in which everything that reaches n8n and Open WebUI is chosen."""

ADDRESS = "an address"
FOLDER = "a folder of the machine, or one of the image"
PORT = "two parts of one machine share its ports; a container has its own, and n8n its defaults"

N8N_DIFFERS = {
    "DB_POSTGRESDB_HOST": ADDRESS,
    "DB_POSTGRESDB_PORT": PORT,
    "N8N_EDITOR_BASE_URL": ADDRESS,
    "N8N_WEBHOOK_URL": ADDRESS,
    "N8N_LISTEN_ADDRESS": "natively this machine only; in a container all of its networks, which is n8n's default",
    "N8N_PORT": PORT,
    "N8N_RUNNERS_BROKER_PORT": PORT,
    "N8N_RUNNERS_AUTH_TOKEN": "demanded and never used; a compose file derives nothing",
    "N8N_INSTANCE_OWNER_PASSWORD_HASH": "natively the hash itself",
    "N8N_INSTANCE_OWNER_PASSWORD_HASH_FILE": "a compose file cannot hash: `prepare` writes it",
    "N8N_USER_FOLDER": FOLDER,
    "PATH": FOLDER,
}
OPEN_WEBUI_DIFFERS = {
    "CORS_ALLOW_ORIGIN": ADDRESS,
    "DATABASE_URL": ADDRESS,
    "EXTERNAL_DOCUMENT_LOADER_URL": ADDRESS,
    "OPENAI_API_BASE_URLS": ADDRESS,
    "WEBUI_URL": ADDRESS,
    "DATA_DIR": FOLDER,
    "HOME": FOLDER,
    "STATIC_DIR": FOLDER,
    "FROM_INIT_PY": "for the package that pip installs, which the image is not made of",
    **dict.fromkeys(
        (
            *("STORAGE_PROVIDER", "STORAGE_LOCAL_CACHE", "S3_ENDPOINT_URL", "S3_BUCKET_NAME", "S3_KEY_PREFIX"),
            *("S3_ADDRESSING_STYLE", "S3_REGION_NAME", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"),
        ),
        "natively its files are in a folder; a container keeps none",
    ),
}

IN_THE_IMAGE = {"BIND_HOST", "STATE_DIR", "MODELS_DIR", "WORKFLOWS_DIR"}
"""Settings that pipelines' image sets."""

NOT_IN_CONTAINERS = {
    **dict.fromkeys(
        ("OPEN_WEBUI_PORT", "N8N_PORT", "PIPELINES_PORT", "N8N_BROKER_PORT", "POSTGRES_PORT"),
        "a port of this machine; between containers addresses are fixed",
    ),
    "WORKFLOW_URL": "follows from N8N_URL; the overlay with n8n's webhook processes sets it",
    "PRICES_FILE": "the image carries it; a path of this machine is none there",
    "EMBEDDING_BACKEND": "the image has no torch",
}


@pytest.fixture
def settings(tmp_path: Path) -> StackSettings:
    return _settings(CHOSEN, tmp_path)


@pytest.fixture
def layout(settings: StackSettings) -> Layout:
    made = Layout.of(settings.state_dir)
    made.prepare()
    return made


def test_n8n_is_told_the_same(settings: StackSettings, layout: Layout) -> None:
    native = n8n.environment(settings, layout, server_url(settings))

    assert _differing(native, service_environment("n8n", CHOSEN)) == N8N_DIFFERS.keys()


def test_open_webui_is_told_the_same(settings: StackSettings, layout: Layout) -> None:
    native = open_webui.environment(settings, layout, server_url(settings))
    contained = service_environment("open-webui", {**CHOSEN, "OPEN_WEBUI_URL": ""})

    assert _differing(native, contained) == OPEN_WEBUI_DIFFERS.keys()


def test_with_nothing_chosen_they_are_told_the_same_too(tmp_path: Path) -> None:
    settings = _settings(DOTENV, tmp_path)
    layout = Layout.of(settings.state_dir)
    layout.prepare()
    server = server_url(settings)

    for name, native, differs in (
        ("n8n", n8n.environment(settings, layout, server), N8N_DIFFERS),
        ("open-webui", open_webui.environment(settings, layout, server), OPEN_WEBUI_DIFFERS),
    ):
        # A port may then be the default of n8n or PostgreSQL, and is said natively only.
        assert _differing(native, service_environment(name, DOTENV)) <= differs.keys()


def test_addresses_differ_by_the_host_alone(settings: StackSettings, layout: Layout) -> None:
    native = open_webui.environment(settings, layout, server_url(settings))
    contained = service_environment("open-webui", CHOSEN)

    assert contained["WEBUI_URL"] == native["WEBUI_URL"] == "https://chat.example.org"
    assert set(contained["CORS_ALLOW_ORIGIN"].split(";")) == set(native["CORS_ALLOW_ORIGIN"].split(";"))
    assert contained["DATABASE_URL"].replace("@postgres:", "@127.0.0.1:") == native["DATABASE_URL"]
    for name in ("EXTERNAL_DOCUMENT_LOADER_URL", "OPENAI_API_BASE_URLS"):
        assert contained[name].replace("//pipelines:", "//127.0.0.1:") == native[name]


@pytest.mark.parametrize("service", ["pipelines", "pipelines-worker", "check-settings", "prepare", "provision"])
def test_every_setting_reaches_the_containers_of_pipelines_or_has_a_reason(service: str) -> None:
    dotenv = {name.upper(): f"chosen-{name}" for name in StackSettings.model_fields} | CHOSEN
    once = service not in ("pipelines", "pipelines-worker")
    fields = StackSettings.model_fields if once else Settings.model_fields

    told = service_environment(service, dotenv)

    assert {name.upper() for name in fields} - told.keys() == (IN_THE_IMAGE | NOT_IN_CONTAINERS.keys()) & {
        name.upper() for name in fields
    }


def test_what_is_passed_on_is_what_was_chosen_and_nothing_where_nothing_was() -> None:
    assert service_environment("pipelines", {**DOTENV, "RETRIEVE_LIMIT": "9"})["RETRIEVE_LIMIT"] == "9"
    assert "RETRIEVE_LIMIT" not in service_environment("pipelines", DOTENV)


@pytest.mark.parametrize("service", ["pipelines", "pipelines-worker", "ollama-pull"])
def test_pipelines_never_holds_the_passwords_of_its_neighbours(service: str) -> None:
    told = service_environment(service, {name.upper(): "chosen" for name in StackSettings.model_fields} | CHOSEN)
    of_neighbours = {name.upper() for name in StackSettings.model_fields.keys() - Settings.model_fields.keys()}

    assert told.keys() & of_neighbours == set()


def test_the_settings_that_the_image_sets_are_set_there() -> None:
    dockerfile = (ROOT / "pipelines/Dockerfile").read_text(encoding="utf-8")

    assert set(re.findall(r"^(?:ENV)?\s+([A-Z_]+)=", dockerfile, re.MULTILINE)) >= IN_THE_IMAGE


@pytest.mark.parametrize("service", ["check-settings", "prepare", "provision"])
def test_what_a_container_is_told_are_settings_that_can_be_read(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in service_environment(service, DOTENV).items():
        monkeypatch.setenv(name, value)

    read = StackSettings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument

    assert read.registry_url == read.database_url
    assert read.s3_secret_access_key.get_secret_value() == DOTENV["OBJECT_STORE_SECRET_KEY"]
    assert read.workflow_url == read.n8n_url == "http://n8n:5678"


def _settings(dotenv: dict[str, str], folder: Path) -> StackSettings:
    file = folder / ".env"
    file.write_text("".join(f"{name}={value}\n" for name, value in dotenv.items()))
    return StackSettings(_env_file=file, state_dir=folder / "state")  # type: ignore[call-arg]


def _differing(one: dict[str, str], other: dict[str, str]) -> set[str]:
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
