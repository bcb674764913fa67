"""The `urban` command: everything that people do with a city on this machine, one command a file."""

from __future__ import annotations

import os

import typer

from services.cli import dlq, entities, findings, incidents, open311, planned, rules, undelivered
from services.cli.doctor import doctor
from services.cli.draft import draft
from services.cli.migrate import migrate
from services.cli.pseudonym import pseudonym
from services.cli.replay import replay
from services.cli.reset import reset
from services.cli.scenario import scenario
from services.cli.send import send
from services.cli.sql import sql
from services.cli.status import status
from services.cli.topics import topics
from services.cli.up import up
from services.cli.watch import watch

app = typer.Typer(
    name="urban",
    help="The real-time nervous system of a city: observations in, explained incidents out.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
)


@app.callback()
def begin() -> None:
    """With the certificate of URBAN_KAFKA_TLS to Kafka, as the services; URBAN_GRPC_TLS is looked at by each call."""
    if folder := os.environ.get("URBAN_KAFKA_TLS", ""):
        from services.runtime.kafka_security import secure_kafka

        secure_kafka(folder)


app.command()(up)
app.command()(status)
app.command()(doctor)
app.command()(sql)
app.command()(send)
app.command()(replay)
app.command()(pseudonym)
app.command()(scenario)
app.command()(watch)
app.add_typer(incidents.app, name="incidents")
app.add_typer(findings.app, name="findings")
app.add_typer(planned.app, name="planned")
app.add_typer(rules.app, name="rules")
app.add_typer(dlq.app, name="dlq")
app.add_typer(undelivered.app, name="undelivered")
app.add_typer(entities.app, name="entities")
app.add_typer(open311.app, name="open311")
app.command()(topics)
app.command()(migrate)
app.command()(draft)
app.command()(reset)

if __name__ == "__main__":
    app()
