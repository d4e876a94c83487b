from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.domain import EVERYONE, Grant, group_scope, user_scope
from pipelines.errors import SetupFailed
from pipelines.ingest.access import AccessRules

RULES = """
rules:
  - under: s3://acme/
    everyone: true
  - under: s3://acme/hr
    groups: [People team, " Board "]
  - under: s3://acme/hr/notice.pdf
    nobody: true
  - under: share/board
    users: [u1]
"""


@pytest.fixture
def rules(tmp_path: Path) -> AccessRules:
    (tmp_path / "access.yaml").write_text(RULES)
    return AccessRules.load(tmp_path / "access.yaml", "nobody")


@pytest.mark.parametrize(
    ("origin", "grant"),
    [
        ("s3://acme/a.pdf", Grant(everyone=True)),
        ("s3://acme/hr/pay.pdf", Grant(groups=("People team", "Board"))),
        ("s3://acme/hr-public/open.pdf", Grant(everyone=True)),
        ("s3://acme/hr/notice.pdf", Grant()),
        ("s3://acme2/a.pdf", Grant()),
        ("upload://a.pdf", Grant()),
    ],
)
def test_the_longest_address_that_fits_decides_and_else_the_default(
    rules: AccessRules, origin: str, grant: Grant
) -> None:
    assert rules.grant(origin) == grant


def test_a_path_is_one_below_the_folder_of_the_rules(rules: AccessRules, tmp_path: Path) -> None:
    assert rules.grant(f"file://{tmp_path}/share/board/minutes.md") == Grant(users=("u1",))


@pytest.mark.parametrize(("default", "everyone"), [("everyone", True), ("nobody", False)])
def test_without_a_file_the_default_alone_holds(tmp_path: Path, default: str, everyone: bool) -> None:
    rules = AccessRules.load(tmp_path / "none.yaml", default)  # type: ignore[arg-type]
    assert rules.grant("s3://acme/a.pdf") == Grant(everyone=everyone)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [", "are not YAML"),
        ("rules: 7", "wrong at rules"),
        ("rule: []", "wrong at rule"),
        ("rules: [{under: s3://a}]", "says `everyone: true`"),
        ("rules: [{under: s3://a, everyone: true, groups: [x]}]", "says `everyone: true`"),
        ("rules: [{under: '', everyone: true}]", "wrong at rules.0.under"),
        ("rules: [{under: s3://a, groups: ['']}]", "wrong at rules.0.groups"),
        ("\udcff", "cannot be read"),
    ],
)
def test_rules_that_cannot_be_understood_are_one_sentence_and_open_nothing(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "access.yaml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SetupFailed, match=said):
        AccessRules.load(file, "everyone")


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "access.yaml").write_text("# nothing yet\n")
    assert AccessRules.load(tmp_path / "access.yaml", "everyone").grant("s3://a/b") == Grant(everyone=True)


def test_a_grant_comes_to_scopes_and_an_unknown_group_opens_nothing() -> None:
    grant = Grant(everyone=True, groups=("Finance", "Unknown"), users=("u1",))
    assert grant.scopes({"Finance": "g1"}) == (EVERYONE, group_scope("g1"), user_scope("u1"))
    assert Grant(groups=("Unknown",)).scopes({"Finance": "g1"}) == ()
    assert Grant().scopes({}) == ()
