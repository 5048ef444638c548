"""Be many cheap clients of a server's events, of which some read nothing.

Run as ``python -m benchmarks.sse_clients HOST PORT ALL STALLED``, it prints "ready", and when its input ends how late
the events came, in seconds, and how many bytes, as JSON.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import time

WATCHED = 20
"""The times of every so manyth client are looked at."""
TIME = re.compile(rb'"time": ?([0-9.]+)[^\n]*?"kind": ?"emit"')
PIECE = 65536


def connect(host: str, port: int, kind: str) -> socket.socket:
    """Ask for events."""
    made = socket.create_connection((host, port))
    made.sendall(f"GET /events?kinds={kind} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return made


def main(host: str, port: int, count: int, stalled: int) -> None:
    """Read until the input ends."""
    clients = [connect(host, port, "emit") for _ in range(count)]
    by_number = {client.fileno(): client for client in clients}
    selector = selectors.DefaultSelector()
    for number, client in enumerate(clients[stalled:]):
        client.recv(PIECE)  # it has been let in
        client.setblocking(False)
        selector.register(client, selectors.EVENT_READ, number % WATCHED == 0)
    selector.register(sys.stdin, selectors.EVENT_READ, None)
    print("ready", flush=True)
    late: list[float] = []
    size = 0
    while True:
        for key, _ in selector.select():
            if key.data is None:
                print(json.dumps({"late": sorted(late), "bytes": size}), flush=True)
                return
            piece = by_number[key.fd].recv(PIECE)
            size += len(piece)
            if key.data:
                now = time.time()
                late.extend(now - float(found) for found in TIME.findall(piece))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
