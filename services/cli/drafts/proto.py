"""Drafts of contracts: row and frame of a kind, the service of a domain."""

from __future__ import annotations

import re
from collections.abc import Iterable

from services.cli.drafts.words import bounds, label, opening, words
from services.core.kind import Column, ColumnType, Domain, Kind
from services.runtime.catalogue import camel
from services.runtime.contracts import FIRST_COLUMN_NUMBER

_TYPES = {ColumnType.FLOAT: "float", ColumnType.DOUBLE: "double", ColumnType.CODE: "fixed32"}

_KIND = """\
// Kind {kind} of the domain {domain}.
syntax = "proto3";

package urban.{domain}.v1;

import "google/protobuf/timestamp.proto";
import "urban/common/v1/frame.proto";

{enums}// One observation: {words}.
message {message} {{
  // Entity id: 1 to 128 of a-z, A-Z, 0-9, '.', '_', '~', ':' and '-'.
  string entity_id = 1;
  // Start of the time that was measured over, from 1970-01-01T00:00Z on.
  google.protobuf.Timestamp time = 2;
  // Length of the time that was measured over, in s, 0 (a moment) to 86,400.
  uint32 period_s = 3;
{row}}}

// Many observations in columns, all of the length of `entity`.
message {message}Frame {{
  // Who made the frame, and when.
  urban.common.v1.FrameHeader header = 1;
  // Dictionary of entity ids, 65,535 at most.
  repeated string entity_ids = 2;
  // Per observation: index into entity_ids.
  repeated fixed32 entity = 3;
  // Time that the offsets count from, in ms since 1970-01-01T00:00Z.
  sfixed64 base_time_ms = 4;
  // Per observation: start of the time that was measured over, in ms after base_time_ms.
  repeated fixed32 time_offset_ms = 5;
  // Length of the time that was measured over, in s, the same for the whole frame, 0 (a moment) to 86,400.
  uint32 period_s = 6;
{frame}}}
"""

_SERVICE = """\
// The {domain} service.
syntax = "proto3";

package urban.{domain}.v1;

{imports}
// Takes observations of the domain {domain} and gives its windows, signals and entities.
service {service}Service {{
  // Takes single observations and answers once, at the end of the stream, after Kafka has acknowledged the good ones.
  // INVALID_ARGUMENT with google.rpc.BadRequest where none of the stream was good. Rows carry no number: at-least-once.
  // One that is sent again because its answer was lost may count twice; ReportFrames takes one numbered row as well.
  rpc Report(stream ReportRequest) returns (urban.common.v1.ReportResponse);
  // Takes frames, and the clock of a replay; answers each frame after Kafka has acknowledged it.
  rpc ReportFrames(stream ReportFramesRequest) returns (stream urban.common.v1.ReportFramesResponse);
  // Lists stored windows.
  rpc ListWindows(urban.common.v1.ListWindowsRequest) returns (urban.common.v1.ListWindowsResponse);
  // Streams windows as they close or are revised. Needs a deadline.
  rpc WatchWindows(urban.common.v1.WatchWindowsRequest) returns (stream urban.common.v1.WatchWindowsResponse);
  // Lists stored signals.
  rpc ListSignals(urban.common.v1.ListSignalsRequest) returns (urban.common.v1.ListSignalsResponse);
  // Streams signals as they are raised, revised or retracted. Needs a deadline.
  rpc WatchSignals(urban.common.v1.WatchSignalsRequest) returns (stream urban.common.v1.WatchSignalsResponse);
  // Gives one entity. NOT_FOUND where nobody has told of it.
  rpc GetEntity(urban.common.v1.GetEntityRequest) returns (urban.common.v1.Entity);
  // Lists the entities of the domain.
  rpc ListEntities(urban.common.v1.ListEntitiesRequest) returns (urban.common.v1.ListEntitiesResponse);
  // Creates an entity or replaces it whole.
  rpc UpsertEntity(urban.common.v1.UpsertEntityRequest) returns (urban.common.v1.Entity);
  // Creates entities or replaces them whole: all of a request, or none where one is wrong.
  rpc BatchUpsertEntities(urban.common.v1.BatchUpsertEntitiesRequest)
      returns (urban.common.v1.BatchUpsertEntitiesResponse);
}}

// One observation of any kind of the domain.
message ReportRequest {{
  // cities/{{city}}. Needed in the first message of a stream; later ones may leave it out.
  string parent = 1;
  // The observation.
  oneof observation {{
{rows}  }}
}}

// One frame of any kind of the domain, or the clock of a replay.
message ReportFramesRequest {{
  // What is sent.
  oneof payload {{
    // The clock of a replay or a simulation.
    urban.common.v1.ReplayClock replay_clock = 1;
{frames}  }}
}}
"""


def kind_proto(domain: str, kind: Kind) -> str:
    """<kind>.proto: the row, the frame, and an enum for each column of codes."""
    numbered = list(enumerate(kind.columns, FIRST_COLUMN_NUMBER))
    return _KIND.format(
        kind=kind.name,
        domain=domain,
        words=words(kind.name),
        message=camel(kind.name),
        enums="".join(_enum(column) for column in _distinct_enums(kind.columns)),
        row="".join(_row_field(column, number) for number, column in numbered),
        frame="".join(_frame_field(column, number) for number, column in numbered),
    )


def _distinct_enums(columns: Iterable[Column]) -> list[Column]:
    """The first column of each enum."""
    return list({column.unit: column for column in reversed([*columns]) if column.codes}.values())[::-1]


def _enum(column: Column) -> str:
    prefix = re.sub("(?<=.)(?=[A-Z])", "_", column.unit).upper()
    values = [f"  // Not told{'; refused' if column.required else ''}.\n  {prefix}_UNSPECIFIED = 0;\n"]
    for code, name in column.codes:
        values.append(f"  // {opening(words(name.lower()))}.\n  {prefix}_{name} = {code};\n")
    return f"// {label(column)}.\nenum {column.unit} {{\n{''.join(values)}}}\n\n"


def _row_field(column: Column, number: int) -> str:
    if column.codes:
        comment = f"{label(column)}. {'Required' if column.required else 'UNSPECIFIED: not told'}."
        return f"  // {comment}\n  {column.unit} {column.name} = {number};\n"
    comment = f"{label(column)}, {bounds(column)}. {'Required' if column.required else 'Absent: not measured'}."
    return f"  // {comment}\n  optional {_TYPES[column.type]} {column.name} = {number};\n"


def _frame_field(column: Column, number: int) -> str:
    if column.codes:
        missing = "Required" if column.required else "0: not told"
        comment = f"{label(column)}: number of a value of {column.unit}. {missing}."
    else:
        missing = "Required: never NaN" if column.required else "NaN: not measured"
        comment = f"{label(column)}, {bounds(column)}. {missing}."
    return f"  // {comment}\n  repeated {_TYPES[column.type]} {column.name} = {number};\n"


def service_proto(domain: Domain) -> str:
    """service.proto: the same calls for every domain, with a row and a frame of each kind."""
    names = ("common/v1/entity", "common/v1/service", *(f"{domain.name}/v1/{kind.name}" for kind in domain.kinds))
    fields = [service_fields(kind, number) for number, kind in enumerate(domain.kinds, FIRST_COLUMN_NUMBER)]
    return _SERVICE.format(
        domain=domain.name,
        service=camel(domain.name),
        imports="".join(sorted(f'import "urban/{name}.proto";\n' for name in names)),
        rows="".join(row for row, _ in fields),
        frames="".join(frame for _, frame in fields),
    )


def service_fields(kind: Kind, number: int) -> tuple[str, str]:
    """A kind's lines in the oneofs of ReportRequest and of ReportFramesRequest."""
    said = opening(words(kind.name))
    return (
        f"    // {said}.\n    {camel(kind.name)} {kind.name} = {number};\n",
        f"    // A frame: {said}.\n    {camel(kind.name)}Frame {kind.name} = {number};\n",
    )
