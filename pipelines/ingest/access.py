"""Who may read a document: its address and what its source says go in, a `Grant` comes out.

`access.yaml` names who may read what lies under an address; the longest address that fits decides, and without one
the default of the deployment. What a person says of one document stands above the rules, and so do the tags of an
object where the source reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from pipelines.domain import Grant
from pipelines.errors import SetupFailed

Default = Literal["everyone", "nobody"]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid")

    under: Name
    everyone: bool = False
    nobody: bool = False
    groups: list[Name] = Field(default_factory=list)
    users: list[Name] = Field(default_factory=list)

    @model_validator(mode="after")
    def _says_one_thing(self) -> _Rule:
        if sum((self.everyone, self.nobody, bool(self.groups or self.users))) != 1:
            raise ValueError("a rule says `everyone: true`, `nobody: true`, or names groups or users")
        return self

    @property
    def grant(self) -> Grant:
        return Grant(everyone=self.everyone, groups=tuple(self.groups), users=tuple(self.users))


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rules: list[_Rule] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class AccessRules:
    """The rules of one deployment. `prefixes` are addresses with the grant for all that lies under them."""

    default: Grant
    prefixes: tuple[tuple[str, Grant], ...] = ()

    @classmethod
    def load(cls, file: Path, default: Default) -> AccessRules:
        """Read the rules; without a file the default alone holds.

        Raises:
            SetupFailed: the file cannot be understood. Nothing of it is applied then.
        """
        try:
            text = file.read_text("utf-8")
        except FileNotFoundError:
            return cls(Grant(everyone=default == "everyone"))
        except (OSError, UnicodeDecodeError) as error:
            raise SetupFailed(f"The access rules in {file} cannot be read: {error}.") from error
        try:
            rules = _File.model_validate(yaml.safe_load(text) or {}).rules
        except yaml.YAMLError as error:
            raise SetupFailed(f"The access rules in {file} are not YAML: {_one_line(error)}.") from error
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(step) for step in first["loc"])
            raise SetupFailed(f"The access rules in {file} are wrong at {place}: {first['msg']}.") from error
        prefixes = [(_address(rule.under, file.parent), rule.grant) for rule in rules]
        longest_first = sorted(prefixes, key=lambda prefix: len(prefix[0]), reverse=True)
        return cls(Grant(everyone=default == "everyone"), tuple(longest_first))

    def grant(self, origin: str) -> Grant:
        """Who may read the document of this address."""
        return next((grant for prefix, grant in self.prefixes if _is_under(origin, prefix)), self.default)


def _address(under: str, folder: Path) -> str:
    """Addresses as they are; a path, relative to the file's folder, as the address of what it leads to."""
    if "://" in under:
        return under
    return f"file://{(folder / Path(under).expanduser()).resolve().as_posix()}"


def _is_under(origin: str, prefix: str) -> bool:
    # `…/hr` covers `…/hr/pay.pdf` and not `…/hr-public.pdf`; a file may be named as well.
    return origin == prefix or origin.startswith(prefix if prefix.endswith("/") else f"{prefix}/")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
