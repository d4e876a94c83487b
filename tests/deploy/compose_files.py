"""What docker-compose.yml comes to, read without Docker: a `.env` goes in, the environment of each service comes out.

Knows of the file format what docker-compose.yml and its overlays use: merged anchors, `${NAME}`, `${NAME:-default}`,
`${NAME:?why}` (one in another too), names that are passed on, and `env_file`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipelines.native.part_variables import part_variables

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
OVERLAYS = sorted((ROOT / "compose").glob("*.yml"))

_INNERMOST = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(:[-?])([^${}]*))?\}")


def service(name: str) -> dict[str, Any]:
    """One service of docker-compose.yml, with its anchors merged."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"][name]
    return found


def service_environment(name: str, dotenv: Mapping[str, str]) -> dict[str, str]:
    """What the containers of a service are told, given this `.env`."""
    given = service(name)
    told: dict[str, str] = {}
    if "env_file" in given:
        told.update(part_variables(ROOT / given["env_file"]))
    for variable, value in given.get("environment", {}).items():
        if value is not None:
            told[variable] = interpolated(str(value), dotenv)
        elif variable in dotenv:
            told[variable] = dotenv[variable]
    return told


def interpolated(text: str, dotenv: Mapping[str, str]) -> str:
    """The text with its variables replaced; KeyError for one that must be set and is not."""

    def replaced(match: re.Match[str]) -> str:
        name, how, default = match.groups()
        if dotenv.get(name):
            return dotenv[name]
        if how == ":?":
            raise KeyError(name)
        return default or ""

    before = None
    while before != text:
        before, text = text, _INNERMOST.sub(replaced, text)
    return text.replace("$$", "$")


def defaults_of(name: str) -> set[str]:
    """The defaults of a variable in docker-compose.yml, else in the overlays; nothing where it has none."""
    default = re.compile(r"(?<!\$)\$\{" + name + r":-([^${}]*)\}")
    return set(default.findall(_text(COMPOSE))) or {
        found for file in OVERLAYS for found in default.findall(_text(file))
    }


def names_asked_for() -> set[str]:
    """Every variable that the compose files take from `.env`, by `${NAME}`."""
    name = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)")
    return {found for file in (COMPOSE, *OVERLAYS) for found in name.findall(_text(file))}


def _text(file: Path) -> str:
    return re.sub(r"(?m)(^|\s)#.*$", "", file.read_text(encoding="utf-8"))
