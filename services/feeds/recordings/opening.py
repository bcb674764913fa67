"""Opens files, packed or not, as streams of bytes; says what they are by their content and how far reading has come."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

_CHUNK = 1 << 20
_BROKEN = (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, EOFError)


class Content(NamedTuple):
    """What a file holds, unpacked."""

    digest: str  # SHA-256, hexadecimal
    size: int  # bytes


@dataclass(frozen=True)
class Item:
    """A file, or a member of a zip: a stream of bytes that can be read again."""

    path: Path
    member: str = ""

    @property
    def name(self) -> str:
        """For people: the file's name, and the member's."""
        return f"{self.path.name}/{self.member}" if self.member else self.path.name

    @property
    def stem(self) -> str:
        """Its name without folders and endings: speed_6005."""
        return Path(self.member or self.path.name).name.partition(".")[0]

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """What it holds, unpacked. ValueError where it is not what it seems to be."""
        try:
            if self.member:
                with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
                    yield file
            elif self.path.suffix == ".gz":
                with gzip.open(self.path) as unpacked:
                    yield unpacked  # type: ignore[misc]  # a GzipFile reads as any file does
            else:
                with self.path.open("rb") as plain:
                    yield plain
        except _BROKEN as error:
            raise ValueError(f"{self.name} cannot be unpacked: {error}") from None

    def content(self) -> Content:
        """What it holds, whatever it is called and however it is packed."""
        found, size = hashlib.sha256(), 0
        with self.open() as file:
            while chunk := file.read(_CHUNK):
                found.update(chunk)
                size += len(chunk)
        return Content(found.hexdigest(), size)


def items_of(paths: Sequence[Path]) -> list[Item]:
    """Every file, and every member of every zip among them. OSError and ValueError name what cannot be read."""
    found: list[Item] = []
    for path in paths:
        if path.suffix == ".zip":
            try:
                with zipfile.ZipFile(path) as archive:
                    found += [Item(path, info.filename) for info in archive.infolist() if not info.is_dir()]
            except zipfile.BadZipFile as error:
                raise ValueError(f"{path.name} cannot be unpacked: {error}") from None
        else:
            with path.open("rb"):
                found.append(Item(path))
    return found


class Utf8(io.RawIOBase):
    """A stream in any encoding, as UTF-8; what is no character there becomes U+FFFD. `read_bytes` counts what came."""

    def __init__(self, file: IO[bytes], encoding: str = "utf-8-sig", tell: Callable[[int], None] | None = None) -> None:
        self._file, self._tell = file, tell
        self._decode = codecs.getincrementaldecoder(encoding)(errors="replace").decode
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = self._file.read(_CHUNK)
            if self._tell is not None:
                self._tell(len(chunk))
            self._rest = self._decode(chunk, final=not chunk).encode()
            if not chunk and not self._rest:
                return 0
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def text_lines(file: IO[bytes], encoding: str = "utf-8-sig", tell: Callable[[int], None] | None = None) -> IO[bytes]:
    """A stream that can be read line by line, in UTF-8."""
    return io.BufferedReader(Utf8(file, encoding, tell), _CHUNK)
