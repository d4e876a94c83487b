from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pipelines.native.supervisor import LAUNCHER


def test_a_part_gets_exactly_the_environment_it_was_meant_to_have(tmp_path: Path) -> None:
    environment = {"QUOTES": """{"a": "it's 100% \\"so\\"", "b": [1, 2]}""", "LINES": "one\ntwo", "PATH": "/bin"}
    code = "import json, os; print(json.dumps([dict(os.environ), os.getcwd(), os.umask(0)]))"
    launch = {"command": [sys.executable, "-I", "-c", code], "folder": str(tmp_path), "environment": environment}
    file = tmp_path / "part.json"
    file.write_text(json.dumps(launch))

    done = subprocess.run(
        [sys.executable, "-I", str(LAUNCHER), str(file)],
        env={"SECRET_OF_THE_SHELL": "x"},
        capture_output=True,
        check=True,
    )

    seen, folder, mask = json.loads(done.stdout)
    seen.pop("LC_CTYPE", None)  # Python itself sets it in the C locale
    assert seen == environment
    assert Path(folder) == tmp_path.resolve()
    assert mask == 0o077
