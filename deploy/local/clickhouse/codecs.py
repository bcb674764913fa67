"""Compression of HTTP bodies: whole requests in, results out piece by piece."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol

import lz4.frame
import zstandard

from deploy.local.clickhouse.errors import (
    BODY_TOO_LARGE,
    CANNOT_DECOMPRESS,
    UNKNOWN_COMPRESSION,
    ClickHouseError,
)

GZIP_BITS = 31  # zlib's way of saying: with gzip's header and checksum


class Inflater(Protocol):
    """What the three libraries' streaming decompressors have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


INFLATERS: dict[str, Callable[[], Inflater]] = {
    "gzip": lambda: zlib.decompressobj(GZIP_BITS),
    "deflate": lambda: zlib.decompressobj(),
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
}
SLICE_BYTES = 1 << 20


def decompress(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """The body as it was before `encoding` (a Content-Encoding); raises `ClickHouseError` for one that is broken.

    Clients compress each block as a frame of its own and send them one after another, so decoding goes on until the
    body is used up. Stopping after the first frame would drop the other rows without a word.
    """
    if encoding in ("", "identity") or not body:
        return body
    if encoding not in INFLATERS:
        raise ClickHouseError.of(
            UNKNOWN_COMPRESSION, "UNKNOWN_COMPRESSION_METHOD", f"Unknown Content-Encoding {encoding!r}."
        )
    parts: list[bytes] = []
    size = 0
    rest = memoryview(body)
    while rest:
        inflater = INFLATERS[encoding]()
        consumed = 0
        while not inflater.eof:
            piece = bytes(rest[consumed : consumed + SLICE_BYTES])
            if not piece:
                raise _broken(encoding, "the last frame is incomplete")
            consumed += len(piece)
            try:
                parts.append(inflater.decompress(piece))
            except (zlib.error, zstandard.ZstdError, RuntimeError, EOFError) as error:
                raise _broken(encoding, str(error)) from error
            size += len(parts[-1])
            if size > limit_bytes:
                raise ClickHouseError.of(
                    BODY_TOO_LARGE, "TOO_MANY_BYTES", f"The request body exceeds {limit_bytes} bytes decompressed."
                )
        rest = rest[consumed - len(inflater.unused_data or b"") :]
    return b"".join(parts)


def _broken(encoding: str, reason: str) -> ClickHouseError:
    return ClickHouseError.of(
        CANNOT_DECOMPRESS, "CANNOT_DECOMPRESS", f"Cannot decompress the {encoding} body: {reason}."
    )


class Deflater(Protocol):
    """Compresses one response as a single stream."""

    def add(self, data: bytes) -> bytes:
        """Everything of `data` in compressed form, so that the receiver can already read it."""
        ...

    def end(self) -> bytes:
        """What closes the stream."""
        ...


class GzipDeflater:
    """gzip, fast level."""

    def __init__(self) -> None:
        self._stream = zlib.compressobj(1, zlib.DEFLATED, GZIP_BITS)

    def add(self, data: bytes) -> bytes:
        return self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._stream.flush()


class ZstdDeflater:
    """zstd, level 1."""

    def __init__(self) -> None:
        self._stream = zstandard.ZstdCompressor(level=1).compressobj()

    def add(self, data: bytes) -> bytes:
        return self._stream.compress(data) + self._stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def end(self) -> bytes:
        return self._stream.flush()


class Lz4Deflater:
    """The lz4 frame format."""

    def __init__(self) -> None:
        self._stream = lz4.frame.LZ4FrameCompressor(auto_flush=True)
        self._begin: bytes = self._stream.begin()

    def add(self, data: bytes) -> bytes:
        begin, self._begin = self._begin, b""
        compressed: bytes = self._stream.compress(data)
        return begin + compressed

    def end(self) -> bytes:
        begin, self._begin = self._begin, b""
        closing: bytes = self._stream.flush()
        return begin + closing


DEFLATERS: dict[str, Callable[[], Deflater]] = {"lz4": Lz4Deflater, "zstd": ZstdDeflater, "gzip": GzipDeflater}


def choose_encoding(accept_encoding: str) -> str:
    """The first of the encodings that the client accepts and this side has, or "" for none."""
    for offer in accept_encoding.lower().split(","):
        name, _, quality = offer.strip().partition(";")
        if name.strip() in DEFLATERS and quality.replace(" ", "") not in ("q=0", "q=0.0"):
            return name.strip()
    return ""
