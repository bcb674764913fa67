"""One HTTP request in ClickHouse's terms: its SQL, data, settings, parameters, session and user."""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.local.clickhouse.codecs import choose_encoding, decompress
from deploy.local.clickhouse.errors import (
    AUTHENTICATION_FAILED,
    BAD_ARGUMENTS,
    UNKNOWN_SETTING,
    ClickHouseError,
)
from deploy.local.clickhouse.multipart import ExternalTable, read_form

# URL parameters that steer the HTTP interface; every other one is a setting of the query.
INTERFACE_PARAMETERS = frozenset(
    "query database default_format user password session_id session_timeout session_check query_id quota_key compress "
    "decompress wait_end_of_query buffer_size role stacktrace send_progress_in_http_headers close_session "
    "http_headers_progress_interval_ms enable_http_compression client_protocol_version http_response_headers "
    "http_write_exception_in_output_format http_zlib_compression_level cancel_http_readonly_queries_on_client_close "
    "readonly".split()
)
SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")
SESSION_TIMEOUT_S = 60
LONGEST_SESSION_TIMEOUT_S = 3600


@dataclass(frozen=True)
class QueryRequest:
    """Everything that one request asks for; SQL and data are one text, as the server sees them."""

    text: bytes
    query_id: str
    database: str
    default_format: str
    settings: Mapping[str, str]
    parameters: Mapping[str, str]  # values of {name:Type} in the SQL
    readonly: int  # 0 may write, 1 or 2 may not
    session_id: str
    session_timeout_s: int
    session_must_exist: bool
    close_session: bool
    tables: tuple[ExternalTable, ...]
    encoding: str  # of the response; "" for none
    whole: bool  # answer only once the query has ended


def read_request(
    method: str, url: Mapping[str, str], headers: Mapping[str, str], body: bytes, limit_bytes: int
) -> QueryRequest:
    """Bring URL, headers and body together. `headers` must look names up whatever their case (lower case is used here).

    Raises `ClickHouseError` for a broken body, an impossible setting name or a bad number.
    """
    body = decompress(body, headers.get("content-encoding", "").strip().lower(), limit_bytes)
    parameters = dict(url)
    tables: tuple[ExternalTable, ...] = ()
    content_type = headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        fields, tables = read_form(content_type, body, parameters)
        parameters, body = fields | parameters, b""
    if parameters.get("compress", "0") != "0" or parameters.get("decompress", "0") != "0":
        raise ClickHouseError.of(
            BAD_ARGUMENTS, "BAD_ARGUMENTS", "compress=1 and decompress=1 (native framing) are not supported here; "
            "use Accept-Encoding and Content-Encoding."
        )  # fmt: skip
    sql = parameters.get("query", "").encode()
    settings = {k: v for k, v in parameters.items() if _is_setting(k, tables)}
    for name in settings:
        if not SETTING_NAME.match(name):
            raise ClickHouseError.of(UNKNOWN_SETTING, "UNKNOWN_SETTING", f"Unknown setting {name!r}.")
    readonly = _integer(parameters, "readonly", 0)
    compresses = parameters.get("enable_http_compression", "1") != "0"
    return QueryRequest(
        text=b"\n".join(part for part in (sql, body) if part),
        query_id=parameters.get("query_id") or str(uuid.uuid4()),
        database=parameters.get("database") or headers.get("x-clickhouse-database", ""),
        default_format=parameters.get("default_format") or headers.get("x-clickhouse-format", "") or "TabSeparated",
        settings=settings,
        parameters={k.removeprefix("param_"): v for k, v in parameters.items() if k.startswith("param_")},
        readonly=readonly or (0 if method == "POST" else 2),
        session_id=parameters.get("session_id", ""),
        session_timeout_s=min(_integer(parameters, "session_timeout", SESSION_TIMEOUT_S), LONGEST_SESSION_TIMEOUT_S),
        session_must_exist=parameters.get("session_check", "0") == "1",
        close_session=parameters.get("close_session", "0") == "1",
        tables=tables,
        encoding=choose_encoding(headers.get("accept-encoding", "")) if compresses else "",
        whole=parameters.get("wait_end_of_query", "0") == "1",
    )


def check_user(url: Mapping[str, str], headers: Mapping[str, str], known: Mapping[str, str]) -> None:
    """Let who is `known`, a password for each user, pass with it; raises `ClickHouseError` (516, HTTP 403) else."""
    user, given = url.get("user", "default"), url.get("password", "")
    authorization = headers.get("authorization", "")
    if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
        user, given = headers.get("x-clickhouse-user", "default"), headers.get("x-clickhouse-key", "")
    elif authorization.lower().startswith("basic "):
        try:
            user, _, given = base64.b64decode(authorization[6:], validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user, given = "", ""
    elif authorization:
        user, given = "", ""
    if known.get(user) != given:
        raise ClickHouseError.of(
            AUTHENTICATION_FAILED,
            "AUTHENTICATION_FAILED",
            f"{user}: Authentication failed: password is incorrect, or there is no user with such name.",
        )


def _is_setting(name: str, tables: tuple[ExternalTable, ...]) -> bool:
    if name in INTERFACE_PARAMETERS or name.startswith("param_"):
        return False
    return not any(name in (f"{t.name}_structure", f"{t.name}_types", f"{t.name}_format") for t in tables)


def _integer(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name) or str(default)
    if not text.isdecimal():
        raise ClickHouseError.of(BAD_ARGUMENTS, "BAD_ARGUMENTS", f"{name} must be a whole number, not {text!r}.")
    return int(text)
