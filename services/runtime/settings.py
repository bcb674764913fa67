"""Facts of a deployment, read once from URBAN_* variables; thresholds and formulas live in code and rules."""

from __future__ import annotations

import os
import re
import socket
from typing import Literal

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

EVERY_CITY = "*"


class Settings(BaseSettings):
    """Settings of one service process. A wrong one ends the process at start with the variable's name."""

    model_config = SettingsConfigDict(env_prefix="URBAN_", frozen=True, extra="ignore")

    kafka: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers, host:port[,host:port]")
    kafka_tls: str = Field(
        "",
        description="Folder of ca.crt, tls.crt and tls.key: Kafka is spoken to by TLS, and this certificate says who we"
        " are; empty: in the clear",
    )
    clickhouse: str = Field(
        "http://127.0.0.1:8123",
        description="ClickHouse HTTP interface, http://[user:password@]host:port; by TLS"
        " https://user:password@host:port/?ca_cert=/folder/ca.crt",
    )
    clickhouse_cluster: str = Field(
        "",
        pattern=r"^[A-Za-z0-9_-]*$",
        description="Name of the cluster of ClickHouse whose servers hold the same databases; empty: one server",
    )
    clickhouse_grants: bool = Field(
        False,
        description="ClickHouse knows a user for each role (deploy/clickhouse): services make no tables and wait for"
        " the migration, whose views are read by the rights of a user of their own",
    )
    clickhouse_timeout_seconds: float = Field(
        60.0, gt=0, le=600, description="Time without an answer after which a request to ClickHouse is sent again"
    )
    grpc_host: str = Field("127.0.0.1", description="Address that the gRPC server binds to")
    grpc_port: int = Field(0, ge=0, le=65535, description="Port of the gRPC server; 0: any free one")
    grpc_tls: str = Field(
        "",
        description="Folder of ca.crt, tls.crt and tls.key: gRPC speaks TLS, to those alone who have a certificate of"
        " ca.crt; empty: in the clear",
    )
    probe_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port where gRPC's health service, and nothing else, is told in the clear; 0: nowhere",
    )
    metrics_host: str = Field("127.0.0.1", description="Address of the Prometheus endpoint")
    metrics_port: int = Field(0, ge=0, le=65535, description="Port of the Prometheus endpoint; 0: any free one")
    ready_file: str = Field(
        "", description="File to write the bound ports to as JSON, once the service is ready; empty: none"
    )
    instance: str = Field(
        default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}",
        description="Name of this process among its replicas",
    )
    clock: Literal["wall", "replay"] = Field(
        "wall", description="The city's clock: wall, or replay where a feed announces it on its stream"
    )
    subscriber_patience_seconds: float = Field(
        10.0, gt=0, le=600, description="Time in which a subscriber has to take a response; then its stream is ended"
    )
    time_zones: dict[str, str] = Field(
        default_factory=dict,
        description='Local time of each city, as JSON: {"auckland": "Pacific/Auckland"}; others: UTC',
    )
    programmes: dict[str, str] = Field(
        default_factory=dict,
        description='Whose standards a city is judged by, as JSON: {"auckland": "us"}; others: the first of a domain',
    )
    without_unusual: tuple[str, ...] = Field(
        (),
        description='Cities in which nothing is told as unusual, as JSON: ["auckland"]; ["*"]: nowhere, which also'
        " spares the cost",
    )
    checkpoint_seconds: float = Field(5.0, gt=0, le=300, description="Time between two checkpoints of a partition")
    session_timeout_seconds: float = Field(
        10.0, ge=6, le=300, description="Time after which the group gives a silent processor's partitions to another"
    )
    static_member: bool = Field(
        False,
        description="Processors keep their partitions over a restart within the session timeout; needs an INSTANCE"
        " that is one process's own and stays the same",
    )
    receivers: dict[str, str] = Field(
        default_factory=dict,
        description='Correlation: webhooks of those whom response plans tell, as JSON: {"duty_officer": "https://…"}',
    )
    receiver_secrets: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Correlation: the secret that each of these receivers shares with us, as JSON, whsec_… or text;"
        " each needs one",
    )
    delivery_patience_seconds: float = Field(
        600.0, gt=0, le=86_400, description="Correlation: time for all attempts to deliver one notification"
    )
    silence_seconds: float = Field(
        60.0,
        gt=0,
        description="Correlation: a partition that reported no watermark for so long no longer holds time back",
    )
    canary_seconds: float = Field(
        0.0,
        ge=0,
        le=3600,
        description="Api: time between two canaries of each partition, which tell how long results take; 0: none",
    )
    rules: str = Field(
        "", description="Correlation: folder of rules, looked at all the time; empty: the rules that are shipped"
    )
    neighbours: str = Field(
        "",
        description="Correlation: file (TOML) of the neighbour cities that incidents at the border are exchanged with;"
        " empty: none",
    )
    dead_letter_flood: Literal["stop", "pass"] = Field(
        "stop",
        description="What a processor does where most records are refused: stop until somebody looks, or let them pass",
    )
    unknown_entities: dict[str, Literal["accept", "refuse", "quarantine"]] = Field(
        default_factory=dict,
        description="What becomes of observations of entities that nobody told of, by kind, as JSON:"
        ' {"traffic.road_flow": "refuse"}; others: accept',
    )
    otlp: str = Field(
        "",
        pattern=r"^(https?://[^/\s]+\S*)?$",
        description="Collector that traces are sent to by OTLP over HTTP, http://host:4318; empty: there are none",
    )
    trace_ratio: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Share of the traces that begin at a call which are told of; a caller that tells a trace decides by"
        " itself",
    )
    log_format: Literal["json", "console"] = Field("json", description="Form of the log lines on standard error")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged")

    @model_validator(mode="after")
    def _signs_what_it_sends(self) -> Settings:
        for receiver, url in self.receivers.items():
            if not re.fullmatch(r"https?://[^/\s]+.*", url):
                raise ValueError(f"URBAN_RECEIVERS[{receiver!r}] = {url!r}: must be http:// or https://")
            if not self.receiver_secrets.get(receiver, SecretStr("")).get_secret_value():
                raise ValueError(f"URBAN_RECEIVER_SECRETS[{receiver!r}] is missing: nothing is sent unsigned")
        return self

    @model_validator(mode="after")
    def _has_a_lasting_name(self) -> Settings:
        if self.static_member and "instance" not in self.model_fields_set:
            raise ValueError(
                "URBAN_STATIC_MEMBER=true needs URBAN_INSTANCE: the default, host and process id, is another after each"
                " start"
            )
        if self.static_member and not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", self.instance):
            raise ValueError(
                f"URBAN_INSTANCE={self.instance!r}: a static member's name has 1 to 249 of the characters A-Z a-z 0-9"
                " . _ -"
            )
        return self
