"""Loopback TCP ports: which are free, and which one a server is given."""

from __future__ import annotations

import socket
from collections.abc import Collection

LOOPBACK = "127.0.0.1"
SEARCHED_PORTS = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do, so that a port in TIME_WAIT after a restart counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port(preferred: int = 0, taken: Collection[int] = ()) -> int:
    """The first free port from `preferred` upwards that is not in `taken`; any free port when `preferred` is 0."""
    if preferred == 0:
        while True:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.bind((LOOPBACK, 0))
                port = int(probe.getsockname()[1])
            if port not in taken:
                return port
    for port in range(preferred, min(preferred + SEARCHED_PORTS, 65536)):
        if port not in taken and is_free(port):
            return port
    raise OSError(f"no free port on {LOOPBACK} from {preferred} to {preferred + SEARCHED_PORTS - 1}")
