"""Messages between a driver and its worker: JSON with a length before it, over two pipes."""

from __future__ import annotations

import json
import math
import os
import select
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

LOOK_S = 0.5  # between two looks at whether the other side still lives
_LENGTH = struct.Struct("!I")


class ChannelClosedError(Exception):
    """The other side is gone."""


class Channel:
    """One end of a pair of pipes. Several threads may send; one receives.

    Args:
        read_fd: What the other side writes to.
        write_fd: What the other side reads from.
    """

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.read_fd, self.write_fd = read_fd, write_fd
        self._sending = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Send one message.

        Raises:
            ChannelClosedError: The other side is gone.
        """
        body = json.dumps(message).encode()
        data = memoryview(_LENGTH.pack(len(body)) + body)
        try:
            with self._sending:
                while data:
                    data = data[os.write(self.write_fd, data) :]
        except OSError as error:
            raise ChannelClosedError from error

    def receive(
        self, timeout: float | None = None, *, is_gone: Callable[[], bool] = lambda: False
    ) -> dict[str, Any] | None:
        """The next message, or None if none came within `timeout` seconds.

        Args:
            timeout: Seconds to wait for a message to begin.
            is_gone: Whether the other side's process has ended; asked now and then, since a child
                that it forked may hold its end of the pipe open.

        Raises:
            ChannelClosedError: The other side is gone.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        head = self._read(_LENGTH.size, deadline, is_gone)
        if head is None:
            return None
        body = self._read(_LENGTH.unpack(head)[0], math.inf, is_gone)
        return dict(json.loads(body or b"{}"))

    def _read(self, size: int, deadline: float, is_gone: Callable[[], bool]) -> bytes | None:
        data = b""
        poll = select.poll()  # select.select fails where a process has more than 1,024 files open
        poll.register(self.read_fd, select.POLLIN)
        while len(data) < size:
            gone = is_gone()  # asked before looking, so that its last words are not missed
            left = max(0.0, deadline - time.monotonic())
            try:
                if not poll.poll(0 if gone else 1000 * min(left, LOOK_S)):
                    if gone:
                        raise ChannelClosedError
                    if left <= LOOK_S:
                        return None
                    continue
                piece = os.read(self.read_fd, size - len(data))
            except OSError as error:
                raise ChannelClosedError from error
            if not piece:
                raise ChannelClosedError
            data += piece
        return data

    def close(self) -> None:
        """Close both pipes."""
        for fd in (self.read_fd, self.write_fd):
            os.close(fd)
