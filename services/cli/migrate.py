"""`urban migrate`: brings ClickHouse's tables and views up to date."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from services.cli.addresses import NothingRunsError, find_addresses
from services.cli.output import RootOption, fail


class Action(StrEnum):
    """What to do about migrations."""

    APPLY = "apply"
    STATUS = "status"


def migrate(
    action: Annotated[
        Action, typer.Argument(help="Apply what is pending, or say what is (exit status 1 if any).")
    ] = Action.APPLY,
    root: RootOption = None,
) -> None:
    """Bring ClickHouse's tables and views up to date; `urban up` does it by itself."""
    import logging

    import structlog
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from services.runtime import migrations

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        url = find_addresses(root).clickhouse
        found = migrations.status(url) if action is Action.STATUS else migrations.migrate(url)
    except (NothingRunsError, ClickHouseError, ValueError) as error:
        fail(str(error))
    for pending in found:
        print(f"{pending.database} {pending.version:03} {'to apply' if action is Action.STATUS else 'applied'}")
    if not found:
        print("up to date")
    elif action is Action.STATUS:
        raise typer.Exit(1)
