"""Every variable that is set, natively or in containers, is one that the version reads: another would do nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from pipelines.native import n8n, open_webui
from pipelines.native.layout import Layout
from pipelines.native.part_variables import part_variables
from pipelines.native.postgres import server_url
from pipelines.settings import StackSettings
from tests.deploy.compose_files import service_environment
from tests.stack import Stack

OF_NODE = {"PATH", "NODE_OPTIONS"}
OF_THE_SYSTEM = {"HOME"}


def words_in(files: Iterable[Path]) -> set[str]:
    """Every word in capitals in these files."""
    return {word for file in files for word in re.findall(r"[A-Z][A-Z0-9_]{2,}", file.read_text(encoding="utf-8"))}


def told_in_containers(service: str, stack: Stack) -> set[str]:
    """The names of what docker-compose.yml tells a service."""
    settings = {name.upper(): str(getattr(stack.settings, name)) for name in StackSettings.model_fields}
    return set(service_environment(service, {**settings, "OBJECT_STORE_SECRET_KEY": "secret"}))


def test_n8n_reads_every_variable_it_is_given(empty_stack: Stack) -> None:
    layout = Layout.of(empty_stack.settings.state_dir)
    packages = layout.n8n_env / "node_modules"
    read = words_in(
        file
        for folder in ("@n8n/config/dist", "@n8n/backend-common/dist", "n8n-workflow/dist/cjs")
        for file in (packages / folder).rglob("*.js")
    )

    given = n8n.environment(empty_stack.settings, layout, server_url(empty_stack.settings))
    in_containers = {name.removesuffix("_FILE") for name in told_in_containers("n8n", empty_stack)}

    assert {*given, *in_containers} - read - OF_NODE == set()


def test_open_webui_reads_every_variable_it_is_given(empty_stack: Stack) -> None:
    layout = Layout.of(empty_stack.settings.state_dir)
    (package,) = layout.open_webui_env.glob("lib/python*/site-packages/open_webui")
    read = words_in(package / name for name in ("env.py", "config.py", "main.py"))

    given = open_webui.environment(empty_stack.settings, layout, server_url(empty_stack.settings))

    assert {*given, *told_in_containers("open-webui", empty_stack)} - read - OF_THE_SYSTEM == set()


def test_n8n_knows_every_node_and_module_that_is_switched_off(empty_stack: Stack) -> None:
    layout = Layout.of(empty_stack.settings.state_dir)
    packages = layout.n8n_env / "node_modules"
    told = part_variables(layout.variables("n8n"))
    modules = (packages / "@n8n/backend-common/dist/modules/modules.config.js").read_text(encoding="utf-8")

    for name in told["N8N_DISABLED_MODULES"].split(","):
        assert f"'{name}'" in modules
    for excluded in json.loads(told["NODES_EXCLUDE"]):
        package, _, node = excluded.rpartition(".")
        known = json.loads((packages / package / "dist/known/nodes.json").read_text(encoding="utf-8"))
        assert node in known, excluded
