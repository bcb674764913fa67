"""ClickHouse errors: their code, and the HTTP status that the server would answer with."""

from __future__ import annotations

import re

CODE = re.compile(r"Code: (\d+)\. ")

SYNTAX_ERROR = 62
ILLEGAL_SYNTAX_FOR_MULTI = SYNTAX_ERROR
BAD_ARGUMENTS = 36
UNKNOWN_SETTING = 115
READONLY = 164
QUERY_WITH_SAME_ID = 216
SESSION_NOT_FOUND = 372
SESSION_IS_LOCKED = 373
AUTHENTICATION_FAILED = 516
BODY_TOO_LARGE = 307  # TOO_MANY_BYTES
UNKNOWN_COMPRESSION = 89  # UNKNOWN_COMPRESSION_METHOD
CANNOT_DECOMPRESS = 271
STD_EXCEPTION = 1001

STATUS_BY_CODE = {
    # unknown table, database, function, identifier, type, storage, user-defined things …
    **dict.fromkeys((46, 47, 50, 60, 81, 82, 83, 84), 404),
    **dict.fromkeys((497, 492, AUTHENTICATION_FAILED), 403),
    **dict.fromkeys((159, 209), 408),
    BODY_TOO_LARGE: 413,
    # faults of the server or its machine: logical error, memory, disk, network
    **dict.fromkeys((49, 74, 75, 76, 173, 210, 241, 243, 1002, STD_EXCEPTION), 500),
}


class ClickHouseError(Exception):
    """An error with ClickHouse's code, name and HTTP status, printed as the server prints it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @classmethod
    def of(cls, code: int, name: str, message: str) -> ClickHouseError:
        """An error that this façade raises itself; `name` is ClickHouse's own for `code`."""
        return cls(code, f"Code: {code}. DB::Exception: {message} ({name})")

    @classmethod
    def from_engine(cls, error: BaseException) -> ClickHouseError:
        """The error that chDB raised, without what its Python layer puts in front; code 1001 if it names none."""
        text = str(error)
        found = CODE.search(text)
        if found is None:
            return cls.of(STD_EXCEPTION, "STD_EXCEPTION", text or type(error).__name__)
        return cls(int(found[1]), text[found.start() :])

    @property
    def status(self) -> int:
        """HTTP status, 400 for whatever is the caller's fault."""
        return STATUS_BY_CODE.get(self.code, 400)
