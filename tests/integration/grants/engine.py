"""The ClickHouse engine as one user of the catalogue has it: whoever asks may do what that user may, and nothing else.

The embedded engine knows nobody but `default`, and does enforce what its file of users grants that one. So each user is
served by a process of its own, one after the other, over the same data.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.clickhouse import users_xml
from deploy.clickhouse.users import MIGRATE, User, users
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.process import Child
from services.cli.domains import find_domains
from services.runtime.migrations import DICTIONARIES_USER, VIEWS_USER, migrate
from tests.integration.conftest import REPOSITORY

USERS = {user.name: user for user in users(find_domains())}
ACCESS_DENIED = 497
START_S = 300.0


class Engine:
    """The data of one city, served as one user after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()

    @property
    def url(self) -> str:
        """Where it is served, as whom ever."""
        return f"http://{LOOPBACK}:{self._port}"

    def migrate(self) -> None:
        """Make all tables and views, with the rights of `migrate`."""
        with self.served_as(MIGRATE):
            migrate(self.url, grants=True)

    @contextmanager
    def served_as(self, name: str) -> Iterator[Client]:
        """A client of the engine that grants what this user has."""
        with self.served_with(name, _file_of(USERS[name])) as client:
            yield client

    @contextmanager
    def served_with(self, name: str, users_file: str) -> Iterator[Client]:
        """A client of the engine that has this file of users."""
        child = self._start(name, users_file)
        try:
            with clickhouse_connect.get_client(dsn=self.url, autogenerate_session_id=False) as client:
                yield client
        finally:
            child.stop(30.0)

    def _start(self, name: str, users_file: str) -> Child:
        file = self._folder / f"{name}.xml"
        file.write_text(users_file)
        argv = [sys.executable, "-m", "deploy.local.clickhouse", "--data", str(self._folder / "data"), "--no-fsync"]
        argv += ["--port", str(self._port), "--users", str(file)]
        log = self._folder / f"{name}.log"
        child = Child.start(f"clickhouse as {name}", argv, log, env=dict(os.environ), cwd=REPOSITORY)
        until = time.monotonic() + START_S
        while not _answers(self._port):
            assert child.poll() is None, child.tail()
            assert time.monotonic() < until, child.tail()
            time.sleep(0.05)
        return child


def _file_of(user: User) -> str:
    """The file that servers get, where `default` is this user."""
    text = users_xml.text_of([*(USERS[name] for name in (VIEWS_USER, DICTIONARIES_USER))], "", "")
    mine = "\n".join(users_xml.element_of(user, "default"))
    # It does not log in, and the engine asks for no password.
    mine = re.sub(r"<password_sha256_hex>.*?</password_sha256_hex>", "<password/>", mine)
    mine = re.sub(r"<networks>.*?</networks>", "<networks><ip>::/0</ip></networks>", mine, flags=re.DOTALL)
    return completed(text, mine)


def completed(text: str, default: str) -> str:
    """A file for users.d with what servers have of their own, and a user `default` in the place of the one removed."""
    (removed,) = users_xml.WITHOUT_DEFAULT
    assert removed in text
    text = text.replace(removed, default)
    return text.replace("<profiles>", "<profiles><default/>").replace("<quotas>", "<quotas><default/>")


def _answers(port: int) -> bool:
    connection = HTTPConnection(LOOPBACK, port, timeout=5.0)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().read() == b"Ok.\n"
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def refusal(client: Client, sql: str) -> tuple[int, str]:
    """The code of the refusal, and the right that is missing, without columns; (0, "") where it is done."""
    try:
        client.command(sql)
    except DatabaseError as error:
        text = str(error)
        code = re.search(r"Code: (\d+)\. ", text)
        missing = re.search(r"necessary to have the grant (.+? ON \S+?)(?::|\.? \()", text)
        return int(code[1]) if code else -1, re.sub(r"\([^)]*\)", "", missing[1]) if missing else text
    return 0, ""


def rows(client: Client, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in client.query(sql).result_rows]
