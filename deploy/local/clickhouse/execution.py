"""Runs one request on one engine connection; every method blocks and belongs into a worker thread."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from chdb import ChdbError

from deploy.local.clickhouse.errors import READONLY, ClickHouseError
from deploy.local.clickhouse.multipart import ExternalTable
from deploy.local.clickhouse.request import QueryRequest
from deploy.local.clickhouse.sessions import Session, SessionPool
from deploy.local.clickhouse.statement import Kind, Statement, read_statement

FIRST_PIECE_BYTES = 1 << 20  # gathered before the answer begins, so that early errors get a proper HTTP status
PIECE_BYTES = 256 << 10
ENGINE_ERRORS = (ChdbError, RuntimeError)
TAG = "log_comment"  # the one setting that marks a running query and lands in system.query_log


class Execution:
    """A request being run: `open`, then `pull` until it returns nothing, then `close` (also after any error).

    `close` must come before the client gets the last byte: it releases the session, which the client may use at once.
    """

    def __init__(self, pool: SessionPool, request: QueryRequest) -> None:
        self.request = request
        self.statement: Statement = read_statement(request.text, request.default_format)
        self.summary: dict[str, str] = {}
        self._pool = pool
        self._session: Session | None = None
        self._stream: Any = None
        self._ready = b""
        self._touched: dict[str, str] = {}  # setting → SQL value to put back on a kept connection

    @property
    def format(self) -> str:
        """Format of the result."""
        if self.statement.kind is Kind.INSERT_DATA:
            return self.request.default_format
        return self.statement.format or self.request.default_format

    @property
    def is_open(self) -> bool:
        """Whether it holds a connection, which `close` will give back."""
        return self._session is not None

    @property
    def reads_only(self) -> bool:
        """Whether nothing is lost when it is stopped half-way."""
        return self.statement.kind is Kind.READ

    def begin(self) -> None:
        """Run the statement until its first bytes are there; raises `ClickHouseError`."""
        request = self.request
        self._session = self._pool.take(request.session_id, request.session_timeout_s, request.session_must_exist)
        try:
            if self._session.kept and request.readonly and not self.statement.harmless:
                raise ClickHouseError.of(READONLY, "READONLY", "default: Cannot execute query in readonly mode.")
            self._prepare(self._session)
            if self.statement.kind is Kind.INSERT_DATA:
                self._insert(self._session)
            else:
                self._query(self._session)
                self._note_session_change(self._session)
        except ENGINE_ERRORS as error:
            raise ClickHouseError.from_engine(error) from error

    def open(self) -> tuple[bytes, bytes]:
        """Begin, and return the first two pieces; with fewer than two there is nothing more and all is closed already.

        Small queries, which are most, take one trip to a worker thread this way.
        """
        self.begin()
        first = self.pull()
        second = self.pull() if first else b""
        if not second:
            self.close()
        return first, second

    def pull(self) -> bytes:
        """The next piece of the result, empty when there is no more; raises `ClickHouseError`."""
        if self._ready:
            ready, self._ready = self._ready, b""
            return ready
        return self._gather(PIECE_BYTES)

    def close(self) -> None:
        """Stop what still runs and give the connection back as it was; may be called again."""
        session, self._session = self._session, None
        stream, self._stream = self._stream, None
        if session is None:
            return
        try:
            if stream is not None:
                # With a stream open the next query on this connection would silently return nothing.
                stream.close()
            if session.kept:
                self._put_back(session)
        except ENGINE_ERRORS as error:
            raise ClickHouseError.from_engine(error) from error
        finally:
            self._pool.give_back(session)
            if self.request.close_session:
                self._pool.forget(self.request.session_id)

    def kill(self) -> None:
        """Ask the engine to stop the running statement, from another thread; returns at once."""
        connection = self._pool.connect()
        try:
            connection.query(f"KILL QUERY WHERE Settings['{TAG}'] = {_literal(self._tag)} ASYNC")
        finally:
            connection.close()

    @property
    def _tag(self) -> str:
        return self.request.settings.get(TAG, self.request.query_id)

    def _prepare(self, session: Session) -> None:
        """Database, external tables, settings; `readonly` last, for nothing can be set after it."""
        wanted = self.request.database or session.database
        if wanted != session.current:
            session.connection.query(f"USE {_identifier(wanted)}")
            session.current = wanted
        for table in self.request.tables:
            _create_table(session, table)
        settings = {TAG: self._tag} | dict(self.request.settings)
        if session.kept:
            self._touched = (
                _current_values(session, settings) if session.sets_seen else dict.fromkeys(settings, "DEFAULT")
            )
        elif self.request.readonly:
            settings["readonly"] = str(self.request.readonly)
        session.connection.query("SET " + ", ".join(f"{name} = {_literal(value)}" for name, value in settings.items()))

    def _insert(self, session: Session) -> None:
        text, statement = self.request.text, self.statement
        if self.request.readonly:
            raise ClickHouseError.of(READONLY, "READONLY", "default: Cannot execute query in readonly mode.")
        for name, value in self.request.parameters.items():
            session.connection.query(f"SET param_{name} = {_literal(value)}")
        head = text[: statement.head_end].decode("utf-8", "surrogateescape")
        with session.connection.send_insert(head, statement.format) as insert:
            if statement.data_start < len(text):
                insert.append(text[statement.data_start :])
            result = insert.finish()
        self.summary = {"written_rows": str(result.rows_written), "written_bytes": str(result.bytes_written)}

    def _query(self, session: Session) -> None:
        request = self.request
        if self.statement.streams and request.settings.get("extremes", "0") == "0" and self._open_stream(session):
            self._ready = self._gather(FIRST_PIECE_BYTES)
            while request.whole and self._stream is not None:
                self._ready += self._gather(FIRST_PIECE_BYTES)
            return
        result = session.connection.query(
            request.text,  # type: ignore[arg-type]  # the engine takes bytes too, which need not be UTF-8
            request.default_format,
            params=dict(request.parameters),
        )
        self._ready = result.bytes()
        self.summary = {
            "read_rows": str(result.storage_rows_read()),
            "read_bytes": str(result.storage_bytes_read()),
            "written_rows": str(result.rows_written()),
            "written_bytes": str(result.bytes_written()),
            "result_rows": str(result.rows_read()),
            "result_bytes": str(len(self._ready)),
            "elapsed_ns": str(int(result.elapsed() * 1e9)),
        }

    def _open_stream(self, session: Session) -> bool:
        """Start a streamed read; False where the engine can only answer at once."""
        try:
            text = self.request.text.decode()
        except UnicodeDecodeError:
            return False  # the engine streams text only
        try:
            parameters = dict(self.request.parameters)
            self._stream = session.connection.send_query(text, self.request.default_format, params=parameters)
        except ChdbError as error:
            if "Streaming query is not supported" not in str(error):
                raise
            return False
        return True

    def _gather(self, want_bytes: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        try:
            while self._stream is not None and size < want_bytes:
                piece = self._stream.fetch()
                if piece is None:
                    self._stream = None
                    break
                parts.append(piece.bytes())
                size += len(parts[-1])
        except ENGINE_ERRORS as error:
            self._stream = None
            raise ClickHouseError.from_engine(error) from error
        return b"".join(parts)

    def _note_session_change(self, session: Session) -> None:
        session.sets_seen |= self.statement.first_word == b"SET"
        if session.kept and self.statement.first_word == b"USE":
            answer = session.connection.query("SELECT currentDatabase()", "TabSeparatedRaw").bytes()
            session.database = session.current = answer.decode().strip()

    def _put_back(self, session: Session) -> None:
        """A request's own settings last for that request; what SET and USE said stays for the session."""
        for table in self.request.tables:
            session.connection.query(f"DROP TEMPORARY TABLE IF EXISTS {_identifier(table.name)}")
        kept = self._set_by_statement() if self.statement.first_word == b"SET" else set()
        for name, value in self._touched.items():
            if name not in kept:
                with suppress(ChdbError):  # an unknown setting was refused before and has nothing to put back
                    session.connection.query(f"SET {name} = {value}")

    def _set_by_statement(self) -> set[str]:
        """Names among the touched settings that a SET statement itself mentions."""
        text = self.request.text.decode("utf-8", "replace")
        return {name for name in self._touched if name in text}


def _create_table(session: Session, table: ExternalTable) -> None:
    name = _identifier(table.name)
    session.connection.query(f"CREATE OR REPLACE TEMPORARY TABLE {name} ({table.structure}) ENGINE = Memory")
    with session.connection.send_insert(f"INSERT INTO {name}", table.format) as insert:
        if table.data:
            insert.append(table.data)
        insert.finish()


def _current_values(session: Session, settings: Mapping[str, str]) -> dict[str, str]:
    names = ", ".join(_literal(name) for name in settings)
    sql = f"SELECT name, value, changed FROM system.settings WHERE name IN ({names})"
    rows: Iterator[tuple[str, str, int]] = map(
        json.loads, session.connection.query(sql, "JSONCompactEachRow").bytes().splitlines()
    )
    return {name: _literal(value) if changed else "DEFAULT" for name, value, changed in rows}


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _identifier(text: str) -> str:
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"
