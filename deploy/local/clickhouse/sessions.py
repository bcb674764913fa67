"""Engine connections: a fresh one for each request, or one kept under a session id between requests."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from chdb.state.sqlitelike import Connection

from deploy.local.clickhouse.errors import SESSION_IS_LOCKED, SESSION_NOT_FOUND, ClickHouseError

LOCK_PATIENCE_S = 1.0


@dataclass
class Session:
    """One connection with its temporary tables and what SET and USE left behind; one request at a time holds `lock`."""

    connection: Connection
    kept: bool
    lock: threading.Lock = field(default_factory=threading.Lock)
    timeout_s: float = 60.0
    expires_s: float = 0.0  # on the monotonic clock
    database: str = "default"  # that USE chose
    current: str = "default"  # that the connection is in just now
    sets_seen: bool = False  # whether a SET statement ran, so that settings may differ from their defaults


class SessionPool:
    """All connections of one engine, and the root connection that keeps the engine alive."""

    def __init__(self, dsn: str, limit: int) -> None:
        self._dsn = dsn
        self._limit = limit
        self._guard = threading.Lock()
        self._kept: dict[str, Session] = {}
        # The engine shuts down when its last connection closes.
        self._root = Connection(dsn)

    def connect(self) -> Connection:
        """A connection of its own; costs about 0.2 ms."""
        return Connection(self._dsn)

    def take(self, session_id: str, timeout_s: float, must_exist: bool) -> Session:
        """A session held by the caller until `give_back`; a fresh one when `session_id` is empty.

        Raises `ClickHouseError` 373 when another request holds it, 372 when it had to exist and does not.
        """
        if not session_id:
            session = Session(self.connect(), kept=False)
            session.lock.acquire()
            return session
        with self._guard:
            self._expire()
            found = self._kept.get(session_id)
            if found is None:
                if must_exist:
                    raise ClickHouseError.of(SESSION_NOT_FOUND, "SESSION_NOT_FOUND", f"Session {session_id} not found.")
                if len(self._kept) >= self._limit:
                    raise ClickHouseError.of(SESSION_IS_LOCKED, "SESSION_IS_LOCKED", "Too many open sessions.")
                found = self._kept[session_id] = Session(self.connect(), kept=True)
            found.timeout_s = max(timeout_s, 1.0)
            found.expires_s = time.monotonic() + found.timeout_s
        if not found.lock.acquire(timeout=LOCK_PATIENCE_S):
            raise ClickHouseError.of(
                SESSION_IS_LOCKED, "SESSION_IS_LOCKED", f"Session {session_id} is locked by a concurrent client."
            )
        return found

    def give_back(self, session: Session) -> None:
        """End the caller's hold; a connection that is not kept is closed."""
        if not session.kept:
            session.connection.close()
        session.expires_s = time.monotonic() + session.timeout_s
        session.lock.release()

    def forget(self, session_id: str) -> None:
        """Close a kept session that nobody else holds; unknown ids are fine."""
        with self._guard:
            session = self._kept.get(session_id)
            if session is not None and session.lock.acquire(blocking=False):
                del self._kept[session_id]
                session.connection.close()
                session.lock.release()

    def close(self) -> None:
        """Close every kept connection and with the root one the engine."""
        with self._guard:
            for session in self._kept.values():
                session.connection.close()
            self._kept.clear()
        self._root.close()

    def _expire(self) -> None:
        now = time.monotonic()
        for session_id in [key for key, s in self._kept.items() if s.expires_s < now]:
            session = self._kept[session_id]
            if session.lock.acquire(blocking=False):
                del self._kept[session_id]
                session.connection.close()
                session.lock.release()
