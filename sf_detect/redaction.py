"""Addresses without their credentials, for everything that people, logs and files get to see.

An address keeps its scheme, host and path; user name, password, query and fragment are replaced by `***`. Passwords
often hold characters that end the authority of an address (RFC 3986, 3.2: / ? #) and should have been encoded, so the
same text can be read in several ways. Where more than one reading is possible the host is hidden too: a part of a
password or of a query must not pass for it.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

MASK = "***"

_PATHS = "file:"  # names a path, in which all characters are the user's own

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/+")
# pathlib turns :// into :/; a quotation mark belongs to the address where an @ comes behind it.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/+[^\s<>\"']+(?:[\"'][^\s<>]*@[^\s<>\"']+)?")
_SCHEMELESS = re.compile(r"(?<![^\s'\"(=])[^\s:/@'\"(=]+:[^\s/'\"@][^\s'\"]*@(?=[\w.-]*[A-Za-z0-9])")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s:@\[\]]*)(?::\d*)?")
_AUTHORITY_END = re.compile(r"[/?#]")
_PUNCTUATION = ".,;:)]}!'\""
_SHORTEST_SECRET, _SHORTEST_PIECE = 3, 4


def public_url(url: str) -> str:
    """`url` without user name, password, path parameters, query and fragment; other text is returned as it is."""
    scheme = _SCHEME.match(url)
    if scheme is None or scheme[0].lower().startswith(_PATHS):
        return url
    rest = url[scheme.end() :]
    readings = _readings(rest)
    if len(readings) != 1:
        return scheme[0] + MASK
    user, place = rest[: readings[0]], rest[readings[0] :]
    path = re.split(r"[?#;]", place, maxsplit=1)[0]
    return f"{scheme[0]}{MASK + '@' if user else ''}{path}{place[len(path) : len(path) + 1]}" + (
        MASK if len(place) > len(path) else ""
    )


def public_host(url: str) -> str | None:
    """Host of an address, without port; None where there is none, or where it can't be told from a password."""
    if url.lower().startswith(_PATHS):
        return None
    public = public_url(url)
    scheme = _SCHEME.match(public)
    authority = _AUTHORITY_END.split(public[scheme.end() :], maxsplit=1)[0] if scheme else ""
    host = re.sub(r":\d*$", "", authority.rpartition("@")[2]).strip("[]").lower()
    return None if host in ("", MASK) else host


def encoded_url(url: str) -> str:
    """`url` as programs that follow RFC 3986 read it: reserved characters in user name and password are encoded."""
    scheme = _SCHEME.match(url)
    readings = _readings(url[scheme.end() :]) if scheme else []
    if scheme is None or len(readings) != 1 or not readings[0]:
        return url
    rest = url[scheme.end() :]
    name, colon, password = rest[: readings[0] - 1].partition(":")
    safe = "%!$&'()*+,;=~"
    return f"{scheme[0]}{quote(name, safe)}{colon}{quote(password, safe)}@{rest[readings[0] :]}"


def redacted(text: str, *urls: str) -> str:
    """`text` with every address in it as `public_url` gives it.

    Args:
        text: A message, of ours or of another library.
        urls: Addresses the text is about; their user name, password and query values are hidden even where they stand
            alone, as in "Max retries exceeded with url: /live?token=...".
    """
    for url in urls:
        text = text.replace(url, public_url(url))
    for secret in sorted({s for url in urls for s in _secrets(url)}, key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = _ADDRESS.sub(_public_match, text)
    return _SCHEMELESS.sub(f"{MASK}@", text)


def _public_match(match: re.Match[str]) -> str:
    address = match[0].rstrip(_PUNCTUATION)
    return public_url(address) + match[0][len(address) :]


def _readings(rest: str) -> list[int]:
    """Where the host may begin in what stands behind the scheme: 0, or behind one of the @."""
    found = [0] if _is_authority(rest) else []
    for at in (match.end() for match in re.finditer("@", rest)):
        before = rest[: at - 1]
        name = _AUTHORITY_END.split(before, maxsplit=1)[0]
        if _is_authority(rest[at:]) and (name == before or ":" in name):
            found.append(at)
    return found


def _is_authority(text: str) -> bool:
    return _HOST.fullmatch(_AUTHORITY_END.split(text, maxsplit=1)[0]) is not None


def _secrets(url: str) -> set[str]:
    """What must not be shown of an address, whichever way it is read, also decoded and encoded."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        return set()
    rest = url[scheme.end() :]
    user = rest.rpartition("@")[0]
    name, _, password = user.partition(":")
    parts = {user, name, password, *re.split(r"[?#;&=]", rest)[1:]}
    pieces = {piece for part in (user, password) for piece in re.split(r"[/?#@:]", part)}
    if len(_readings(rest)) != 1:  # the host may be part of a password
        pieces |= set(re.split(r"[/?#@:]", rest))
    kept = {part for part in parts if len(part) >= _SHORTEST_SECRET}
    kept |= {piece for piece in pieces if len(piece) >= _SHORTEST_PIECE}
    return {form for secret in kept for form in (secret, unquote(secret), quote(secret), quote(secret, ""))}
