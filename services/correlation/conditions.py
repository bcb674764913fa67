"""Reads the conditions of a rule file: a name, or one of the forms below, in one another as deep as one likes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from services.core.correlation.checks import MAX_RADIUS_M, MAX_SECONDS, RuleError
from services.core.correlation.condition import (
    Absent,
    AllOf,
    AnyOf,
    Chain,
    Condition,
    Count,
    Percentile,
    Present,
    Share,
    Total,
)
from services.core.correlation.rule_checks import check_leaf
from services.core.signals import COUNTED_LABELS
from services.correlation.fields import (
    NAME,
    Field,
    Schema,
    Table,
    listed,
    names_schema,
    number,
    number_schema,
    object_schema,
    one_of,
    one_or_more,
    read_fields,
    text,
    whole,
    word_schema,
)

_UNKNOWN = {"wait": False, "open": True}
# Deeper is no rule that anybody understands.
MAX_DEPTH = 16

_WITHIN = Field(
    whole,
    number_schema(0, MAX_SECONDS, integer=True),
    "Seconds from the first start to the last, at most.",
    needed=False,
)
_OF = Field(one_or_more(text), names_schema(), "Names of the signals.")
_MEASURE = Field(text, NAME, "Name of a figure in the evidence of the signals.")
_AS_IT_IS = listed(lambda _, value: value)
_PARTS: Schema = {"type": "array", "items": {"$ref": "#/$defs/condition"}, "minItems": 1}


def read_condition(field: str, value: object, depth: int = 0) -> Condition:
    """The condition that stands in a field."""
    if depth > MAX_DEPTH:
        raise RuleError(field, "...", f"lies more than {MAX_DEPTH} conditions deep")
    if isinstance(value, str):
        return Present(value)
    if not isinstance(value, dict):
        raise RuleError(field, value, f"must be the name of a signal, or one of {', '.join(FORMS)}")
    forms = [name for name in FORMS if name in value]
    if len(forms) != 1:
        raise RuleError(field, sorted(value), f"must have exactly one of {', '.join(FORMS)}")
    form = FORMS[forms[0]]
    if form.make is None:
        parts = read_fields(field, value, form.table, "when")[forms[0]]
        kind = AllOf if forms[0] == "all_of" else AnyOf
        inner = (read_condition(f"{field}.{forms[0]}[{i}]", part, depth + 1) for i, part in enumerate(parts))
        return _placed(field, lambda: kind(tuple(inner)))
    fields = read_fields(field, value, form.table)
    return _placed(field, lambda: form.made(fields))


def _placed(field: str, make: Callable[[], Condition]) -> Condition:
    """A condition that was checked; what is wrong in it is told with its place in the file."""
    try:
        made = make()
        if not isinstance(made, AllOf | AnyOf):
            check_leaf(made)
        return made
    except RuleError as error:
        if error.field.startswith(field):
            raise
        raise RuleError(f"{field}.{error.field}", error.value, error.reason) from None


class Form(NamedTuple):
    """A way to write a condition: its fields, and what is made of them."""

    table: Table
    make: Callable[..., Condition] | None = None  # None: parts
    renamed: tuple[tuple[str, str], ...] = ()  # fields of the file that the core calls otherwise

    def made(self, fields: dict[str, Any]) -> Condition:
        assert self.make is not None
        names = dict(self.renamed)
        return self.make(**{names.get(name, name): value for name, value in fields.items()})

    def schema(self) -> Schema:
        return object_schema(self.table)


FORMS: dict[str, Form] = {
    "all_of": Form({"all_of": Field(_AS_IT_IS, _PARTS, "Every part is true.")}),
    "any_of": Form({"any_of": Field(_AS_IT_IS, _PARTS, "At least one part is true.")}),
    "sequence": Form(
        {
            "sequence": Field(
                listed(text),
                {"type": "array", "items": NAME, "minItems": 2},
                "Signals of these names, each linked with the one before it and begun after it.",
            ),
            "within_s": _WITHIN,
        },
        Chain,
        (("sequence", "steps"),),
    ),
    "count": Form(
        {
            "count": _OF,
            "at_least": Field(whole, number_schema(1, integer=True), "So many, or more."),
            "within_s": _WITHIN,
            "distinct": Field(
                text, NAME, "Count different entities (entity), or different values of an attribute.", needed=False
            ),
        },
        Count,
        (("count", "of"),),
    ),
    "share": Form(
        {
            "share": _OF,
            "among": Field(
                text,
                word_schema(COUNTED_LABELS),
                "Of the entities of any one: cabinet, or building. The registry says how many there are.",
            ),
            "at_least": Field(number, number_schema(0, 1), "Which part of them, above 0: 0.5 is half."),
            "within_s": _WITHIN,
        },
        Share,
        (("share", "of"),),
    ),
    "sum": Form(
        {
            "sum": _OF,
            "measure": _MEASURE,
            "at_least": Field(number, {"type": "number"}, "The sum, at least."),
            "within_s": _WITHIN,
        },
        Total,
        (("sum", "of"),),
    ),
    "percentile": Form(
        {
            "percentile": Field(number, number_schema(0, 100), "Which percentile, above 0: 50 is the median."),
            "of": _OF,
            "measure": _MEASURE,
            "at_least": Field(number, {"type": "number"}, "Its value, at least.", needed=False),
            "at_most": Field(number, {"type": "number"}, "Its value, at most.", needed=False),
            "values": Field(
                whole, number_schema(1, integer=True), "How many values there must be for it; 1.", needed=False
            ),
        },
        Percentile,
        (("percentile", "percent"),),
    ),
    "absent": Form(
        {
            "absent": Field(text, NAME, "Name of the signal that must not be near."),
            "radius_m": Field(number, number_schema(1, MAX_RADIUS_M), "Great-circle distance within which it is near."),
            "before_s": Field(
                whole,
                number_schema(0, MAX_SECONDS, integer=True),
                "Seconds before a window that count too.",
                needed=False,
            ),
            "after_s": Field(
                whole,
                number_schema(0, MAX_SECONDS, integer=True),
                "Seconds after a window that count too; the rule waits for them.",
                needed=False,
            ),
            "around": Field(one_or_more(text), names_schema(), "Names that it must not be near; all.", needed=False),
            "unknown_if": Field(
                one_or_more(text), names_schema(), "Names of signals near which nobody can say.", needed=False
            ),
            "unknown": Field(
                one_of(_UNKNOWN),
                word_schema(_UNKNOWN),
                "What happens where nobody can say: wait (no incident), or open (one that says so). wait.",
                needed=False,
            ),
        },
        Absent,
        (("absent", "of"), ("unknown", "unknown_opens")),
    ),
}


def condition_schema() -> Schema:
    """What a condition may be."""
    return {"anyOf": [NAME, *(form.schema() for form in FORMS.values())]}
