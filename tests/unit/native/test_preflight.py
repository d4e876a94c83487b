from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from pipelines.errors import SetupFailed
from pipelines.native.layout import Layout
from pipelines.native.preflight import check_compiler, check_machine, check_ports
from tests.unit.native.parts_for_tests import free_port, server_part


def test_a_taken_port_names_the_holder_and_the_variable(layout: Layout) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = other.getsockname()[1]
        part = server_part(layout, "n8n", port=number)

        with pytest.raises(SetupFailed) as caught:
            check_ports([part])

    assert f"Port {number} is taken by" in caught.value.message
    assert str(os.getpid()) in caught.value.message
    assert "set N8N_PORT in .env" in caught.value.message


def test_a_port_taken_on_every_address_is_taken(layout: Layout) -> None:
    with (
        socket.create_server(("0.0.0.0", 0)) as other,  # noqa: S104 - what is tested
        pytest.raises(SetupFailed, match="is taken"),
    ):
        check_ports([server_part(layout, "n8n", port=other.getsockname()[1])])


def test_one_port_for_two_parts_names_both_variables(layout: Layout) -> None:
    port = free_port()
    parts = [server_part(layout, "n8n", port=port), server_part(layout, "pipelines", port=port)]

    with pytest.raises(SetupFailed, match="N8N_PORT and PIPELINES_PORT are both"):
        check_ports(parts)


def test_free_ports_pass(layout: Layout) -> None:
    check_ports([server_part(layout, "n8n"), server_part(layout, "pipelines")])


def test_a_missing_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SetupFailed, match=r"apt install g\+\+ make"):
        check_compiler()


def test_this_machine_passes_when_nothing_has_to_be_installed(layout: Layout) -> None:
    check_machine(layout, installing=False)


def test_a_path_that_the_process_manager_cannot_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match="has a %, ; or # in it"):
        check_machine(Layout.of(tmp_path / "100%"), installing=False)
