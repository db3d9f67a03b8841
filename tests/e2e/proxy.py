"""A network that misbehaves: a TCP proxy that cuts, delays, slows down or corrupts what a server says."""

import socket
import threading
import time

PIECE = 16_384


class Proxy:
    """Passes connections on to a port of this machine; faults are per connection, in its order."""

    def __init__(self, port, faults=()):
        self.target, self.faults, self.connections = port, list(faults), 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            fault = self.faults[self.connections] if self.connections < len(self.faults) else None
            self.connections += 1
            server = socket.create_connection(("127.0.0.1", self.target))
            for source, sink, fault in ((client, server, None), (server, client, fault)):
                threading.Thread(target=self._pass, args=(source, sink, fault), daemon=True).start()

    def _pass(self, source, sink, fault):
        passed = 0
        try:
            while piece := source.recv(PIECE):
                if fault:
                    piece = fault(passed, piece)
                passed += len(piece)
                sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def cut(after):
    """The connection breaks after so many bytes."""

    def fault(passed, piece):
        if passed + len(piece) > after:
            raise OSError
        return piece

    return fault


def corrupt(at):
    """One byte becomes another."""

    def fault(passed, piece):
        if not passed <= at < passed + len(piece):
            return piece
        piece = bytearray(piece)
        piece[at - passed] ^= 0x55
        return bytes(piece)

    return fault


def slow(seconds):
    """Every piece takes so long."""

    def fault(_, piece):
        time.sleep(seconds)
        return piece

    return fault
