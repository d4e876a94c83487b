"""The tags of an object in S3 go in, who may read it comes out.

ragline-access   everyone, or nobody
ragline-groups   names of groups, separated by colons
ragline-users    ids of users, separated by colons
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from pipelines.domain import Grant

log = logging.getLogger(__name__)

_PREFIX = "ragline-"
_ACCESS, _GROUPS, _USERS = "ragline-access", "ragline-groups", "ragline-users"


def grant_of(tags: Mapping[str, str], origin: str) -> Grant | None:
    """What the tags say; None when they say nothing of access. What cannot be understood opens it to nobody."""
    ours = {name: value for name, value in tags.items() if name.casefold().startswith(_PREFIX)}
    if not ours:
        return None
    groups, users = _names(ours.get(_GROUPS)), _names(ours.get(_USERS))
    access = ours.get(_ACCESS)
    is_known = not ours.keys() - {_ACCESS, _GROUPS, _USERS} and access in (None, "everyone", "nobody")
    says_two_things = access == "nobody" and (groups or users)
    if not is_known or groups is None or users is None or says_two_things:
        log.warning("%s has tags that cannot be understood, so nobody may read it: %s", origin, ours)
        return Grant()
    return Grant(everyone=access == "everyone", groups=groups, users=users)


def _names(value: str | None) -> tuple[str, ...] | None:
    """The names in a tag, none without it; None when one of them is empty."""
    if value is None:
        return ()
    names = tuple(name.strip() for name in value.split(":"))
    return names if all(names) else None
