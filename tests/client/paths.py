"""A path to a gateway on which answers get lost, and servers that answer what no gateway does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class LossyHttp:
    """Hands each request on, by a connection of its own. Of the next ones that are to be lost the gateway's answer is
    awaited to its end, and the caller's connection is cut instead of telling it.
    """

    def __init__(self, port: int) -> None:
        self._gateway = port
        self._losing: tuple[str, ...] = ()
        self._times = 0
        self._cuts = False
        self.passed: list[str] = []
        self.lost = 0

    def lose(self, *methods: str, times: int = 1) -> None:
        self._losing, self._times, self._cuts = methods, times, False

    def cut(self, *methods: str) -> None:
        """The caller's connection while the gateway is still at work on the next one."""
        self._losing, self._times, self._cuts = methods, 1, True

    def answer(self, caller: socket.socket) -> None:
        request = _message(caller)
        if not request:
            return
        method = request.split(b" ", 1)[0].decode()
        self.passed.append(method)
        with socket.create_connection(("127.0.0.1", self._gateway), timeout=30) as gateway:
            gateway.sendall(request.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
            lost = self._times > 0 and method in self._losing
            if lost:
                self._times -= 1
                self.lost += 1
            if lost and self._cuts:
                caller.shutdown(socket.SHUT_RDWR)
            told = b"".join(iter(lambda: gateway.recv(65536), b""))
        if not lost:
            caller.sendall(told)


class Says:
    """Answers every request with these bytes, one after the other and the last for ever."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self.requests: list[bytes] = []

    def answer(self, caller: socket.socket) -> None:
        self.requests.append(_message(caller))
        caller.sendall(self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])


def _message(caller: socket.socket) -> bytes:
    """A request with its body, as far as its Content-Length says."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = caller.recv(65536)
        if not part:
            return b""
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while len(body) < int(lengths[0] if lengths else 0):
        body += caller.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def a_path(one: LossyHttp | Says) -> Iterator[str]:
    """Its address. Each connection is for one request, and has a thread."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threads: list[threading.Thread] = []

        def serve(caller: socket.socket) -> None:
            with caller, suppress(OSError):
                caller.settimeout(30)
                one.answer(caller)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    caller, _ = server.accept()
                    threads.append(threading.Thread(target=serve, args=(caller,)))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            accepting.join(10)
            for thread in threads:
                thread.join(10)
