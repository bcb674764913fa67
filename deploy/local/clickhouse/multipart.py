"""Reads multipart/form-data: fields that take the place of URL parameters, and tables sent along with a query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.local.clickhouse.errors import BAD_ARGUMENTS, ClickHouseError

BOUNDARY = re.compile(r'boundary=(?:"([^"]+)"|([^;\s]+))')
NAME = re.compile(rb'(?i)content-disposition:[^\r\n]*?;\s*name="([^"]*)"')
FILE_NAME = re.compile(rb"(?i)content-disposition:[^\r\n]*?;\s*filename\*?=")


@dataclass(frozen=True)
class ExternalTable:
    """A table that exists for one query only: `structure` as in CREATE TABLE, `data` in `format`."""

    name: str
    structure: str
    format: str
    data: bytes


def read_form(
    content_type: str, body: bytes, url: Mapping[str, str]
) -> tuple[dict[str, str], tuple[ExternalTable, ...]]:
    """Fields (name → value) and external tables of a form; a table's structure and format stand in the URL or a field.

    Raises `ClickHouseError` for a form that cannot be read or a table without structure.
    """
    found = BOUNDARY.search(content_type)
    if found is None:
        raise _bad("multipart/form-data without a boundary")
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for part in (b"\r\n" + body).split(b"\r\n--" + (found[1] or found[2]).encode())[1:]:
        if part.startswith(b"--"):
            break
        head, blank, data = part.partition(b"\r\n\r\n")
        name = NAME.search(head)
        if not blank or name is None:
            raise _bad("a part of the form has no name")
        if FILE_NAME.search(head):
            files[name[1].decode()] = data
        else:
            fields[name[1].decode()] = data.decode("utf-8", "surrogateescape")
    both = fields | dict(url)
    return fields, tuple(_table(name, data, both) for name, data in files.items())


def _table(name: str, data: bytes, parameters: Mapping[str, str]) -> ExternalTable:
    structure = parameters.get(f"{name}_structure", "")
    if not structure and (types := parameters.get(f"{name}_types", "")):
        structure = ", ".join(f"_{number} {kind}" for number, kind in enumerate(types.split(","), 1))
    if not structure:
        raise _bad(f"the external table {name!r} has no {name}_structure")
    return ExternalTable(name, structure, parameters.get(f"{name}_format", "TabSeparated"), data)


def _bad(reason: str) -> ClickHouseError:
    return ClickHouseError.of(BAD_ARGUMENTS, "BAD_ARGUMENTS", reason[0].upper() + reason[1:] + ".")
