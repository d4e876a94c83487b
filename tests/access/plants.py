"""The documents of the access matrix, with a canary in every place of theirs that could leak.

A canary is a word that stands nowhere else: in a document's title, its file name, its headings, its first page and in
every part of its text. Who may read it is told apart from the product's own scopes: by a grant, read here by hand.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipelines.domain import Grant, User

A, B = "5f0c1d1e-000a", "5f0c1d1e-000b"
"""Ids of the groups that there are."""
GROUPS = {"Group A": A, "Group B": B}
GROUP_NAMES = {identity: name for name, identity in GROUPS.items()}

TOPIC = "copper lanterns over slack water"
"""What every document is about, so that one question finds all a reader may read."""
PARTS = 2

EVERYBODY = Grant(everyone=True)
NOBODY = Grant()
ONLY_A, ONLY_B = Grant(groups=("Group A",)), Grant(groups=("Group B",))
OWNER, FOREIGN = "owner", "foreign"

STRANGE_IDS = (
    "everyone",
    "staged",
    "group:" + A,
    "user:owner",
    "OWNER",
    "owner ",
    "owner/../owner",
    "öwner",
    "*",
    '"owner"',
    "owner,foreign",
    "1' OR '1'='1",
)
"""Ids of users that would be somebody else where scopes were told apart by less than all their characters."""

READERS = {
    "another client": User(""),
    "in no group": User("nora"),
    "in group a": User("anna", (A,)),
    "in group b": User("ben", (B,)),
    "in both groups": User("cleo", (A, B)),
    "owner": User(OWNER),
    "foreign user": User(FOREIGN, ("5f0c1d1e-000c",)),
    "administrator": User("admin", name="Administrator"),
    "named as a group": User(A),
    "group named as the owner": User("gus", (OWNER, "user:owner", "everyone", "staged", f"group:{A}", A.upper())),
    "a part of a group": User("pat", (A[:-1], f"{A}b", "*", "Group A")),
    **{f"id {identity}": User(identity) for identity in STRANGE_IDS},
}


@dataclass(frozen=True, slots=True)
class Plant:
    """A document as it stands at the end. `grant` is None where nobody may read it, whatever was said before."""

    key: str
    grant: Grant | None
    edition: int = 1
    places: tuple[str, ...] = field(default=("title", "name", "heading", "company", *map(str, range(PARTS))))

    @property
    def name(self) -> str:
        """The file name."""
        return f"{self.canary('name')}.md"

    @property
    def lure(self) -> str:
        """A word of its text that anybody may know and ask for."""
        return f"lure{_digest(self.key, 'lure')}"

    def canary(self, place: str) -> str:
        """The word that stands in that place and nowhere else. A file's name is the same in every edition."""
        return f"zq{_digest(self.key, place, '' if place == 'name' else str(self.edition))}"

    def canaries(self) -> Iterator[str]:
        """All of them."""
        return map(self.canary, self.places)

    def markdown(self) -> str:
        """Its text: a title, and parts of a chunk each under one heading."""
        words = random.Random(f"{self.key} {self.edition}")
        head = f"# Annual report {self.canary('title')}\n\n{self.canary('company').capitalize()} Holdings Inc.\n\n"
        parts = [
            f"The {TOPIC} of {self.lure} are named {self.canary(str(part))}. {_sentences(words)}"
            for part in range(PARTS)
        ]
        return f"{head}## Section {self.canary('heading')}\n\n" + "\n\n".join(parts) + "\n"

    def may_read(self, user: User) -> bool:
        """Whether this user may read it, by the grant's words."""
        if self.grant is None:
            return False
        member_of = {GROUP_NAMES[group] for group in user.groups if group in GROUP_NAMES}
        named = bool(user.id) and user.id in self.grant.users
        return self.grant.everyone or named or bool(member_of.intersection(self.grant.groups))


PLANTS = (
    Plant("open", EVERYBODY),
    Plant("open-too", EVERYBODY),
    Plant("of group a", ONLY_A),
    Plant("of group b", ONLY_B),
    Plant("of both groups", Grant(groups=("Group A", "Group B"))),
    Plant("of one user", Grant(users=(OWNER,))),
    Plant("of one user and a group", Grant(users=(OWNER,), groups=("Group B",))),
    Plant("of everybody and a group", Grant(everyone=True, groups=("Group B",))),
    Plant("of nobody", NOBODY),
    Plant("of a group that is gone", Grant(groups=("Group C",))),
    Plant("of a user named as a group", Grant(users=(A,))),
    *(Plant(f"of the user {identity}", Grant(users=(identity,))) for identity in STRANGE_IDS[:4]),
    Plant("closed later", ONLY_A),
    Plant("opened later", EVERYBODY),
    Plant("handed over", ONLY_B),
    Plant("closed to all", NOBODY),
    Plant("published again for others", ONLY_B, edition=2),
    Plant("removed", None),
    Plant("staged", None),
)

FORMER = (Plant("published again for others", None, edition=1, places=("title", "heading", "company", "0", "1")),)
"""What nobody finds any more, of documents that are still there."""

EARLIER = {
    "closed later": EVERYBODY,
    "opened later": NOBODY,
    "handed over": Grant(users=(OWNER,), groups=("Group A",)),
    "closed to all": EVERYBODY,
    "published again for others": EVERYBODY,
    "removed": EVERYBODY,
}
"""Who might read a document when it was indexed first."""


def _digest(*words: str) -> str:
    # Letters and digits alone: every tokenizer leaves it one word.
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:12]


def _sentences(words: random.Random) -> str:
    # Other words in each, so that no two documents are near-duplicates; few and long, so that quoting takes no time.
    made = (" ".join(_word(words) for _ in range(45)).capitalize() for _ in range(3))
    return " ".join(f"{sentence}." for sentence in made)


def _word(words: random.Random) -> str:
    return "".join(words.choice("bdfgklmnprst") + words.choice("aeiou") for _ in range(3))
