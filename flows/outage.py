"""A Prefect server that is away, as the errors of Prefect's client tell it."""

from __future__ import annotations

from collections.abc import Iterator

from lepton_tasks.redaction import redacted

BROKEN = 500  # from this HTTP status on it is the server's own fault


def outage(error: BaseException) -> str:
    """What an error says of a server that is away; any other error is raised.

    Args:
        error: What Prefect's client, or its runner, raised; groups and causes are looked into.

    Example:
        >>> import httpx
        >>> outage(httpx.ConnectError("Connection refused"))
        'Connection refused'
    """
    from httpx import HTTPStatusError, TransportError  # noqa: PLC0415  (Prefect's client's own)

    causes = list(_causes(error))
    for one in causes:
        refused = isinstance(one, HTTPStatusError) and one.response.status_code < BROKEN
        # A runner's own class for a server that it asked in vain too often is RuntimeError.
        if refused or not isinstance(one, HTTPStatusError | TransportError | RuntimeError):
            raise one
    return redacted(str(causes[0]) or repr(causes[0])).partition("\n")[0]


def _causes(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _causes(one)
    elif isinstance(error, RuntimeError) and error.__cause__ is not None:
        yield from _causes(error.__cause__)
    else:
        yield error
