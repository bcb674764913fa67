"""The protobuf messages of a kind, found by convention, and a view of its frame that numpy reads without a loop.

For the kind `k` of the domain `d` the row is `urban.<d>.v1.<Camel(k)>` and the frame `…Frame`, both in the module
`urban.<d>.v1.<k>_pb2`. So a fifth domain needs no edit here.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, ServiceDescriptor

from services.core.kind import Column, ColumnType, Kind
from services.runtime.catalogue import camel

_FieldProto = descriptor_pb2.FieldDescriptorProto

# Columns of a kind start here, in its row as in its frame.
FIRST_COLUMN_NUMBER = 16

_WIRE_TYPES = {
    ColumnType.FLOAT: _FieldProto.TYPE_FLOAT,
    ColumnType.DOUBLE: _FieldProto.TYPE_DOUBLE,
    ColumnType.CODE: _FieldProto.TYPE_FIXED32,
}
# What lies on the wire as the little-endian bytes of an array when it is packed.
_FIXED_WIDTH = frozenset(
    (
        _FieldProto.TYPE_FLOAT,
        _FieldProto.TYPE_DOUBLE,
        _FieldProto.TYPE_FIXED32,
        _FieldProto.TYPE_FIXED64,
        _FieldProto.TYPE_SFIXED32,
        _FieldProto.TYPE_SFIXED64,
    )
)


class ContractError(TypeError):
    """A contract and the declaration of its kind do not agree: nothing may start with it."""


class WireColumn(NamedTuple):
    """How a column of a kind lies in its frame."""

    name: str
    number: int  # of the field
    dtype: np.dtype[Any]
    optional: bool  # it may be left out: then it reads as NaN


@dataclass(frozen=True)
class FrameContract:
    """The messages of one kind. `row` and `frame` are the public classes, `view` is private to the codec."""

    domain: str
    kind: Kind
    row: Any  # class of the row message
    frame: Any  # class of the frame message
    view: Any  # the frame with every packed column of fixed width as `repeated bytes` of the same number

    @classmethod
    def of(cls, domain: str, kind: Kind) -> FrameContract:
        """Finds the messages of a kind and compares them with its declaration; ContractError names what differs."""
        module = _import_contract(domain, kind.name)
        row, frame = getattr(module, camel(kind.name)), getattr(module, f"{camel(kind.name)}Frame")
        _compare_row(row.DESCRIPTOR, kind.columns)
        _compare_frame(frame.DESCRIPTOR, kind.columns)
        return cls(domain, kind, row, frame, _view_of(frame.DESCRIPTOR))

    @property
    def frame_name(self) -> str:
        """Name of the frame message for people: RoadFlowFrame."""
        return str(self.frame.DESCRIPTOR.name)

    @cached_property
    def view_numbers(self) -> frozenset[int]:
        """Numbers of the fields that the view reads as bytes."""
        bytes_type = _FieldProto.TYPE_BYTES
        return frozenset(f.number for f in self.view.DESCRIPTOR.fields if f.type == bytes_type)

    @cached_property
    def wire_columns(self) -> tuple[WireColumn, ...]:
        """The columns in the order of the declaration, as they lie on the wire."""
        numbers = {field.name: field.number for field in self.frame.DESCRIPTOR.fields}
        return tuple(WireColumn(c.name, numbers[c.name], np.dtype(c.type.value), c.optional) for c in self.kind.columns)

    @cached_property
    def column_index(self) -> Mapping[str, int]:
        """Position of each column in the declaration, by name."""
        return MappingProxyType({column.name: i for i, column in enumerate(self.kind.columns)})


def _import_contract(domain: str, name: str) -> ModuleType:
    """The code of `proto/urban/<d>/v1/<name>.proto`."""
    module = f"urban.{domain}.v1.{name}_pb2"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        path = f"proto/urban/{domain}/v1/{name}.proto"
        raise ContractError(f"{module} is missing: it is made of {path} by `make proto`") from error


def service_of(domain: str) -> ServiceDescriptor:
    """The gRPC service of a domain: `urban.<d>.v1.<Camel(d)>Service`."""
    module = _import_contract(domain, "service")
    service = module.DESCRIPTOR.services_by_name[f"{camel(domain)}Service"]
    assert isinstance(service, ServiceDescriptor)
    return service


def bytes_view(message: Any, to_bytes: Iterable[str]) -> Any:
    """A class that reads the messages of a descriptor with the named fields as `repeated bytes`.

    A length-delimited field and a bytes field of the same number are the same on the wire. Repeated, because a
    message may legally come in pieces (a packed field in chunks, a message field merged from parts), and the pieces
    joined are what the public message holds.
    """
    names = frozenset(to_bytes)
    view = descriptor_pb2.DescriptorProto()
    message.CopyToProto(view)
    view.ClearField("oneof_decl")
    for proto in view.field:
        proto.ClearField("oneof_index")
        if proto.name in names:
            proto.type, proto.label = _FieldProto.TYPE_BYTES, _FieldProto.LABEL_REPEATED
            proto.ClearField("type_name")
            proto.ClearField("options")
    file = descriptor_pb2.FileDescriptorProto(
        name=f"view/{message.full_name}.proto", package=f"view.{message.file.package}", syntax="proto3"
    )
    file.message_type.append(view)
    pool = descriptor_pool.DescriptorPool()
    for dependency in sorted({f.message_type.file.name for f in message.fields if _is_kept(f, names)}):
        _add_file(pool, message.file.pool.FindFileByName(dependency))
        file.dependency.append(dependency)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{view.name}"))


def _is_kept(field: Any, to_bytes: frozenset[str]) -> bool:
    return field.message_type is not None and field.name not in to_bytes


def _add_file(pool: descriptor_pool.DescriptorPool, file: Any) -> None:
    for dependency in file.dependencies:
        _add_file(pool, dependency)
    proto = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(proto)
    pool.Add(proto)


def _view_of(frame: Descriptor) -> Any:
    return bytes_view(frame, [f.name for f in frame.fields if f.is_repeated and f.type in _FIXED_WIDTH])


def _compare_row(row: Descriptor, columns: tuple[Column, ...]) -> None:
    fields = _column_fields(row, columns)
    for column in columns:
        field = fields[column.name]
        code = column.type is ColumnType.CODE
        wanted = _FieldProto.TYPE_ENUM if code else _WIRE_TYPES[column.type]
        if field.is_repeated or field.type != wanted or not (code or field.has_presence):
            raise ContractError(f"{row.full_name}.{column.name} must be {'an enum' if code else 'an optional number'}")
        if code:
            _compare_codes(field, column)


def _compare_codes(field: Any, column: Column) -> None:
    declared, told = dict(column.codes), {v.number: v.name for v in field.enum_type.values if v.number}
    if declared.keys() != told.keys() or any(not told[n].endswith(f"_{name}") for n, name in declared.items()):
        raise ContractError(f"{field.full_name}: the enum has {told}, the declaration {declared}")


def _compare_frame(frame: Descriptor, columns: tuple[Column, ...]) -> None:
    fields = _column_fields(frame, columns)
    for column in columns:
        if not fields[column.name].is_repeated or fields[column.name].type != _WIRE_TYPES[column.type]:
            raise ContractError(f"{frame.full_name}.{column.name} must be repeated and of type {column.type.name}")


def _column_fields(message: Descriptor, columns: tuple[Column, ...]) -> dict[str, Any]:
    fields = {f.name: f for f in message.fields if f.number >= FIRST_COLUMN_NUMBER}
    if list(fields) != [column.name for column in columns]:
        raise ContractError(f"{message.full_name} has the columns {list(fields)}, the declaration {columns}")
    return fields
