"""Keeping secrets out of what is shown, logged and recorded.

A tracking URI may hold a password or a token, and the errors of SQLAlchemy and requests quote the
URI. So every text of theirs passes through `redacted` before anybody sees it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import unquote

MASK = "***"
# PASS: of a password, a passphrase. (TOKENIZERS_PARALLELISM is no secret, PWD is a folder.)
_SECRET_NAME = re.compile(
    r"PASS|[_-]PWD$|TOKEN(?!IZER)|SECRET|CREDENTIAL|AUTH(?!OR)|(^|[_-]|API|ACCOUNT)KEY$|SIGNATURE"
    r"|^SIG$|CONNECTION_STRING$",
    re.IGNORECASE,
)
# No longer a scheme than there are: else a long text takes time that grows with its square.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s'\"<>]+")
# Variables whose value is a URI. (In PATH and PS1 a colon before an @ is none of a password.)
_URI_NAME = re.compile(r"(UR[IL]S?|DSN|ENDPOINT|PROXY|CONNECTION)$", re.IGNORECASE)
_LEAST = 4  # characters: replacing shorter ones would only make a text unreadable
_LEAST_OTHER = 8  # where a variable is not MLflow's own, and its name only sounds like a secret's


def without_secrets(uri: str) -> str:
    """The URI as it may be shown: no password, no token, no query.

    What stands before the last ``@`` counts as a user's name and password, even where a password
    that was not escaped makes it no URI at all. Where ``://`` is missing it does if it has a colon.

    Example:
        >>> without_secrets("postgresql://me:pass/word@db/mlflow?sslpassword=x")
        'postgresql://me:***@db/mlflow?***'
        >>> without_secrets("https://token@host/api"), without_secrets("sqlite:////tmp/m.db")
        ('https://***@host/api', 'sqlite:////tmp/m.db')
        >>> without_secrets("http//me:password@host"), without_secrets("me@host")
        ('http//me:***@host', 'me@host')
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        scheme, rest = "", uri
    user, at, place = rest.rpartition("@")
    name, colon, _ = user.partition(":")
    if not separator and not colon:
        return uri
    shown = f"{name}:{MASK}@" if at and colon else f"{MASK}@" if at else ""
    place, question, _ = place.partition("?")
    if at and not question and "&" in place:  # the @ stood in the query itself
        place, question = place.partition("&")[0], "?"
    return f"{scheme}{separator}{shown}{place}" + (f"?{MASK}" if question else "")


def redacted(text: str) -> str:
    """A text without the secrets of this process's environment, and of any URI in it.

    Example:
        >>> redacted("cannot reach http://me:pass@host/api")
        'cannot reach http://me:***@host/api'
    """
    text = _URI.sub(lambda found: without_secrets(found[0]), text)
    for secret in sorted(set(_secrets()), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def _secrets() -> Iterator[str]:
    for name, value in os.environ.items():
        if "://" in value or ("=" in value and ";" in value):  # AccountName=a;AccountKey=b
            yield from _of_uri(value)
        elif _URI_NAME.search(name):
            yield from _of_broken_uri(value)
        if _SECRET_NAME.search(name) and (name.startswith("MLFLOW_") or len(value) >= _LEAST_OTHER):
            yield from _forms(value)


def _of_uri(uri: str) -> Iterator[str]:
    user, at, _ = uri.partition("://")[2].rpartition("@")
    if at:
        name, colon, password = user.partition(":")
        yield from _forms(password if colon else name)
    for pair in re.split(r"[?&;]", uri)[1:]:
        key, _, value = pair.partition("=")
        if _SECRET_NAME.search(key):
            yield from _forms(value)


def _of_broken_uri(uri: str) -> Iterator[str]:
    """What may be the password in a URI without ``://``: after the first colon, or the last."""
    user, at, _ = uri.rpartition("@")
    if at and ":" in user:
        yield from _forms(user.partition(":")[2])
        yield from _forms(user.rpartition(":")[2])


def _forms(secret: str) -> Iterator[str]:
    """A secret as it was written, and as a URL's escapes mean it."""
    yield from (form for form in (secret, unquote(secret)) if len(form) >= _LEAST)
