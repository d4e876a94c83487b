"""Reads what kind of document a text speaks of: "in the latest 10-Q" goes in, "10q" comes out. English and German."""

from __future__ import annotations

import re

_KIND = re.compile(
    r"(?<!\w)(?:form\s+)?(?P<form>10-?[kq]|8-?k|20-?f|6-?k|def\s?14a)s?(?!\w)|"
    r"(?<!\w)(?P<kind>annual report|quarterly report|interim report|half-year report|earnings release|press release|"
    r"policy|policies|handbook|manual|guidelines?|contract|agreement|invoice|quotation|data ?sheet|specification|"
    r"price list|minutes|presentation|newsletter|memo(?:randum)?|faq|checklist|"
    r"geschäftsbericht|quartalsbericht|halbjahresbericht|richtlinie|handbuch|anleitung|vertrag|rechnung|angebot|"
    r"datenblatt|preisliste|protokoll|satzung|merkblatt|dienstvereinbarung|betriebsvereinbarung)(?:e?s|en)?(?!\w)",
    re.IGNORECASE,
)


def read_kinds(text: str) -> tuple[str, ...]:
    """Every kind of document that a text names, each once, in small letters and without hyphens and spaces."""
    return tuple(dict.fromkeys(_plain(match["form"] or match["kind"]) for match in _KIND.finditer(text)))


def _plain(kind: str) -> str:
    return re.sub(r"[\W_]", "", kind.casefold()).replace("policies", "policy").removesuffix("s")
