"""Servers on loopback that answer as no server should."""

import socket
import threading
from collections.abc import Callable, Iterator
from itertools import chain, repeat

OK = b"HTTP/1.1 200 OK\r\n"


class Server:
    """Read a request and then send `parts`, one every `pace` seconds, to each client that connects."""

    def __init__(self, parts: Callable[[], Iterator[bytes]], *, pace: float, reads: bool) -> None:
        self.sent = 0
        self.connections = 0
        self.is_over = threading.Event()
        self.parts, self._pace, self._reads = parts, pace, reads
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/hook"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self.is_over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                peer, _address = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._threads.append(threading.Thread(target=self._serve, args=[peer]))
            self._threads[-1].start()

    def _serve(self, peer: socket.socket) -> None:
        with peer:
            peer.settimeout(0.1)
            if self._reads:
                peer.recv(65_536)
            try:
                for part in self.parts():
                    self._send(peer, part)
                    if self.is_over.wait(self._pace) if self._pace else self.is_over.is_set():
                        return
            except OSError:
                return
            self.is_over.wait()

    def _send(self, peer: socket.socket, part: bytes) -> None:
        while part and not self.is_over.is_set():
            try:
                sent = peer.send(part)
            except TimeoutError:
                continue  # the other side does not read
            self.sent += sent
            part = part[sent:]


def single_bytes(text: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in text]


def after(head: bytes, *parts: bytes) -> Callable[[], Iterator[bytes]]:
    """Send `head` at once, then `parts` again and again, without end."""
    return lambda: chain([head], (part for _ in repeat(None) for part in parts))
