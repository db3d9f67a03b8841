"""Queries, as other statements are built around them."""

from __future__ import annotations

import re

#: The pieces of a query. In a text, a backslash escapes a quote in some databases, and in others it does not.
_PIECES = [
    re.compile(rf"{text}|\"[^\"]*\"|`[^`]*`|--[^\n]*|/\*.*?\*/|.", re.DOTALL)
    for text in (r"'[^']*'", r"'(?:[^'\\]|\\.)*'")
]


def bare(query: str) -> str:
    """A query without the `;` and the comments that it ends with.

    What follows it still belongs on a line of its own: the end may be a comment that is not known here.
    """
    # Of the two readings, the one that takes away less: the other may have taken a part of a text.
    return max((_without_end(query, pieces) for pieces in _PIECES), key=len)


def _without_end(query: str, pieces: re.Pattern[str]) -> str:
    found = pieces.findall(query)
    while found and (found[-1] == ";" or found[-1].isspace() or found[-1].startswith(("--", "/*"))):
        found.pop()
    return "".join(found).strip()
