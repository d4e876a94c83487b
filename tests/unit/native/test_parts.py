from __future__ import annotations

import os

import pytest

from pipelines.native.layout import MARKER, Layout
from pipelines.native.parts import stack_parts, waves
from pipelines.settings import Settings, StackSettings
from tests.unit.native.conftest import MakeSettings

NEIGHBOURS_SECRETS = {name.upper() for name in StackSettings.model_fields} - {
    name.upper() for name in Settings.model_fields
}


def names(groups: list[list[object]]) -> list[list[str]]:
    return [[part.name for part in group] for group in groups]  # type: ignore[attr-defined]


def test_parts_start_when_those_they_need_are_healthy(make_settings: MakeSettings, layout: Layout) -> None:
    parts = stack_parts(make_settings(), layout)

    assert names(waves(parts)) == [["postgres"], ["pipelines"], ["n8n", "open-webui"]]  # type: ignore[arg-type]


def test_a_database_of_ones_own_takes_the_place_of_ours(make_settings: MakeSettings, layout: Layout) -> None:
    settings = make_settings(database_url="postgresql://ann:p%40ss@db.example.org:6543/docs?sslmode=require")
    parts = {part.name: part for part in stack_parts(settings, layout)}

    assert names(waves(list(parts.values()))) == [["pipelines"], ["n8n", "open-webui"]]  # type: ignore[arg-type]
    n8n, open_webui = parts["n8n"].environment, parts["open-webui"].environment
    assert (n8n["DB_POSTGRESDB_HOST"], n8n["DB_POSTGRESDB_PORT"]) == ("db.example.org", "6543")
    assert n8n["DB_POSTGRESDB_PASSWORD"] == "p@ss"
    assert n8n["DB_POSTGRESDB_SSL_ENABLED"] == "true"
    assert open_webui["DATABASE_URL"] == "postgresql://ann:p%40ss@db.example.org:6543/open_webui?sslmode=require"


def test_no_part_sees_the_shell_that_started_it(
    make_settings: MakeSettings, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the person at the keyboard")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("PATH", f"/only/in/this/shell:{os.defpath}")
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/company.pem")

    for part in stack_parts(make_settings(), layout):
        assert "AWS_SECRET_ACCESS_KEY" not in part.environment
        assert "PYTHONPATH" not in part.environment
        assert "/only/in/this/shell" not in part.environment["PATH"]
        assert part.environment["SSL_CERT_FILE"] == "/etc/company.pem"
        assert part.environment[MARKER] == str(layout.state)


def test_pipelines_gets_its_settings_and_not_its_neighbours_secrets(
    make_settings: MakeSettings, layout: Layout
) -> None:
    settings = make_settings(llm_model="qwen3:4b", n8n_port=5999)
    pipelines = next(part for part in stack_parts(settings, layout) if part.name == "pipelines")

    assert pipelines.environment["LLM_MODEL"] == "qwen3:4b"
    assert pipelines.environment["N8N_URL"] == "http://127.0.0.1:5999"
    assert pipelines.environment["GATEWAY_API_KEY"] == settings.gateway_api_key.get_secret_value()
    assert not NEIGHBOURS_SECRETS & set(pipelines.environment)


def test_the_same_settings_make_the_same_parts(make_settings: MakeSettings, layout: Layout) -> None:
    settings = make_settings()

    assert stack_parts(settings, layout) == stack_parts(settings, layout)


def test_ports_follow_the_settings(make_settings: MakeSettings, layout: Layout) -> None:
    settings = make_settings(open_webui_port=1, n8n_port=2, n8n_broker_port=3, pipelines_port=4, postgres_port=5)

    parts = {part.name: part for part in stack_parts(settings, layout)}

    assert [port.number for part in parts.values() for port in part.ports] == [5, 4, 2, 3, 1]
    assert "port=5" in parts["postgres"].command
    assert parts["n8n"].environment["N8N_PORT"] == "2"
    assert parts["open-webui"].command[-3] == "1"
