"""A TCP proxy on loopback with a network that fails on command: slow, silent, forgetful, cut, or not there."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 64 << 10
# Closing sends a reset at once, and what was not sent is forgotten.
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Network:
    """How the network is. Nothing set: sound."""

    name: str = ""
    latency_s: float = 0.0  # of each piece of a stream, one way
    jitter_s: float = 0.0  # added to it, evenly spread
    stalled: bool = False  # nothing gets through, nothing is lost: it comes when the network is well again
    forgetful: bool = False  # half open: what is sent is swallowed; when the network is well, the connection is reset
    mute: bool = False  # what clients send gets through, answers are swallowed; when it is well again, all is reset
    cut_after_bytes: int = 0  # each connection is reset after so many bytes of both directions, from now on
    refusing: bool = False  # no new connection, and the old ones are reset


SOUND = Network()


class _Link:
    """One connection of a client and the one to the server behind it."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self.writers = writers
        self.passed_bytes = 0
        self.forgotten = False

    def reset(self) -> None:
        for writer in self.writers:
            sock = writer.get_extra_info("socket")
            if sock is not None and not writer.is_closing():
                with contextlib.suppress(OSError):  # the other side was faster
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            writer.transport.abort()


class Proxy:
    """Hands connections on to a port of this machine; `met` counts pieces and connections that met a fault."""

    def __init__(self, chance: random.Random, upstream_port: int = 0) -> None:
        """`chance` decides about jitter. `upstream_port` may be set later."""
        self.upstream_port = upstream_port
        self.port = 0
        self.met = 0
        self._chance = chance
        self._network = SOUND
        self._changed = asyncio.Event()
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        """Serve on a free port of this machine."""
        await self._listen()
        try:
            yield self
        finally:
            await self._stop_listening()
            self.cut()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def become(self, network: Network) -> None:
        """The network is like this from now on."""
        before, self._network = self._network, network
        self.met = 0
        for link in list(self._links):
            link.passed_bytes = 0
            if link.forgotten:
                link.reset()
        self._changed.set()
        self._changed = asyncio.Event()
        if network.refusing and not before.refusing:
            await self._stop_listening()
            self.cut()
        elif before.refusing and not network.refusing:
            await self._listen()

    def cut(self) -> int:
        """Reset every connection; how many there were."""
        links = list(self._links)
        for link in links:
            link.reset()
        return len(links)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            back, there = await asyncio.open_connection(LOOPBACK, self.upstream_port)
        except OSError:
            _Link(writer).reset()
            return
        link = _Link(writer, there)
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, there, link))
                pumps.create_task(self._pump(back, writer, link, answering=True))
        except* OSError:
            link.reset()
        except* asyncio.CancelledError:
            link.reset()  # only the end of the proxy cancels; asyncio would log it as an error of ours
        finally:
            self._links.discard(link)
            for one in (writer, there):
                one.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: _Link, answering: bool = False
    ) -> None:
        while data := await reader.read(CHUNK_BYTES):
            while self._network.stalled:
                self.met += 1
                await self._changed.wait()
            network = self._network
            if network.forgetful or (network.mute and answering):
                self.met += 1
                link.forgotten = True
                continue
            if network.latency_s or network.jitter_s:
                self.met += 1
                await asyncio.sleep(network.latency_s + self._chance.uniform(0.0, network.jitter_s))
            link.passed_bytes += len(data)
            if network.cut_after_bytes and link.passed_bytes > network.cut_after_bytes:
                self.met += 1
                writer.write(data[: len(data) // 2])
                raise ConnectionResetError("cut on command")
            writer.write(data)
            await writer.drain()
        if not writer.is_closing():
            writer.write_eof()
