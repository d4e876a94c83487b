from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.errors import SetupFailed
from pipelines.native.layout import CHECKOUT, Layout
from pipelines.native.part_variables import part_variables


def test_values_are_taken_as_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "part.env"
    file.write_text("""# why
PLAIN=5
JSON='{"asked": "{{TASK}}", "costs": "$HOME ${PLAIN}"}'
EMPTY=
""")

    assert part_variables(file) == {
        "PLAIN": "5",
        "JSON": '{"asked": "{{TASK}}", "costs": "$HOME ${PLAIN}"}',
        "EMPTY": "",
    }


def test_a_missing_file_and_a_line_that_sets_nothing_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "part.env"

    with pytest.raises(SetupFailed, match=r"part\.env is missing"):
        part_variables(file)
    file.write_text("GOOD=1\nFORGOTTEN\n")
    with pytest.raises(SetupFailed, match="without a value: FORGOTTEN"):
        part_variables(file)


@pytest.mark.parametrize("part", ["n8n", "open-webui"])
def test_the_shipped_files_need_no_parser_to_agree_with_another(part: str) -> None:
    """Compose, python-dotenv and a reader of lines see the same: JSON in single quotes, all else without any."""
    file = Layout(CHECKOUT / ".ragline").variables(part)
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    read = part_variables(file)

    assert len(lines) == len(read)
    for name, _, written in (line.partition("=") for line in lines):
        bare = written.removeprefix("'").removesuffix("'")
        assert read[name] == bare
        assert not set("'\\$") & set(bare), name
        if written != bare:
            assert json.loads(bare)
        else:
            assert not set(' "#') & set(bare), name
