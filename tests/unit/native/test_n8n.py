from __future__ import annotations

import bcrypt

from pipelines.native.layout import Layout
from pipelines.native.n8n import environment
from pipelines.native.postgres import server_url
from pipelines.provision.databases import N8N_DATABASE
from tests.unit.native.conftest import MakeSettings

HASH = "N8N_INSTANCE_OWNER_PASSWORD_HASH"


def test_the_owners_hash_is_kept_until_the_password_changes(make_settings: MakeSettings, layout: Layout) -> None:
    first, second = make_settings(n8n_owner_password="first-password"), make_settings(n8n_owner_password="another-one")

    hashes = [environment(settings, layout, server_url(settings))[HASH] for settings in (first, first, second)]

    assert hashes[0] == hashes[1] != hashes[2]
    assert bcrypt.checkpw(b"another-one", hashes[2].encode())
    assert (layout.secrets / "n8n-owner.hash").stat().st_mode & 0o777 == 0o600


def test_a_question_is_not_kept_and_the_hardened_expression_engine_stays(
    make_settings: MakeSettings, layout: Layout
) -> None:
    settings = make_settings()
    told = environment(settings, layout, server_url(settings))

    assert {told[f"EXECUTIONS_DATA_SAVE_ON_{kind}"] for kind in ("SUCCESS", "ERROR")} == {"none"}
    assert told["EXECUTIONS_DATA_PRUNE"] == "false"
    assert told["N8N_EXPRESSION_ENGINE"] == "vm"
    assert "n8n-nodes-base.executeCommand" in told["NODES_EXCLUDE"]


def test_it_keeps_its_things_in_the_database_that_is_made_for_it(make_settings: MakeSettings, layout: Layout) -> None:
    settings = make_settings()

    assert environment(settings, layout, server_url(settings))["DB_POSTGRESDB_DATABASE"] == N8N_DATABASE
