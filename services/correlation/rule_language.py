"""The language of rule files: what may stand in one, what a rule is made of it, and its JSON Schema."""

from __future__ import annotations

from typing import Any

from services.core.correlation.allen import Relation
from services.core.correlation.along import Along
from services.core.correlation.bond import Bond, Wind
from services.core.correlation.checks import MAX_RADIUS_M, MAX_SECONDS, RuleError
from services.core.correlation.restraint import MAX_INCIDENTS, MAX_REACH_S, Flapping, Inhibition, Limit
from services.core.correlation.rule import Rule
from services.core.correlation.selector import Bound, Selector
from services.core.signals import POSITION_LABELS, Severity
from services.correlation.conditions import condition_schema, read_condition
from services.correlation.fields import (
    NAME,
    TEXT,
    Field,
    Schema,
    Table,
    listed,
    made,
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

SEVERITIES = {severity.name.lower(): severity for severity in Severity}
# How a rule is run; whether it is tried or in force is no part of what it finds, nor of its version.
MODES = {"live": False, "shadow": True}
RELATIONS = {relation.value: relation for relation in Relation}


def rule_schema() -> Schema:
    """The JSON Schema of a rule file, for editors; of it the file rule.schema.json is made."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A rule of correlation",
        **object_schema(_RULE),
        "$defs": {"condition": condition_schema()},
    }


def _selectors(field: str, value: object) -> tuple[Selector, ...]:
    return tuple(_selector(f"{field}[{i}]", entry) for i, entry in enumerate(listed(lambda _, v: v)(field, value)))


def _selector(field: str, value: object) -> Selector:
    fields = read_fields(field, value, _SELECTOR)
    types = fields.pop("type")
    return made(field, Selector, {**fields, "type": types[0], "more_types": types[1:]})


def _bound(field: str, value: object) -> Bound:
    return made(field, Bound, read_fields(field, value, _BOUND))


def _attributes(field: str, value: object) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        raise RuleError(field, value, "must be attributes with a value, or values")
    return tuple((name, one_or_more(text)(f"{field}.{name}", wanted)) for name, wanted in value.items())


def _link(field: str, value: object) -> dict[str, Any]:
    fields = read_fields(field, value, _LINK)
    if len(fields["between"]) != 2:
        raise RuleError(f"{field}.between", list(fields["between"]), "must be two names")
    return {"field": field, **fields}


def _wind(field: str, value: object) -> Wind:
    fields = read_fields(field, value, _WIND)
    for name, of_wind in (("lies", "down"), ("unknown", "unknown_joins")):
        if name in fields:
            fields[of_wind] = fields.pop(name)
    return made(field, Wind, fields)


def _along(field: str, value: object) -> Along:
    return made(field, Along, read_fields(field, value, _ALONG))


def _limit(field: str, value: object) -> Limit:
    return made("", Limit, read_fields(field, value, _LIMIT))


def _flapping(field: str, value: object) -> Flapping:
    return made("", Flapping, read_fields(field, value, _FLAPPING))


def _inhibition(field: str, value: object) -> Inhibition:
    return made(field, Inhibition, read_fields(field, value, _INHIBITION))


def read_rule(document: object) -> Rule:
    """The rule of a document. RuleError names the field that is wrong, as "signals[0].kind"."""
    return read_rule_and_mode(document)[0]


def read_rule_and_mode(document: object) -> tuple[Rule, bool]:
    """The rule of a document, and whether it is only tried (`mode: shadow`)."""
    fields = read_fields("", document, _RULE)
    fields.pop("order", None)
    links, shadow = fields.pop("links", ()), fields.pop("mode", False)
    bonds = tuple(_bond(dict(link), fields) for link in links)
    return Rule(name=fields.pop("rule"), selectors=fields.pop("signals"), bonds=bonds, **fields), shadow


def _bond(link: dict[str, Any], rule: dict[str, Any]) -> Bond:
    """What a link leaves open is as the rule says."""
    field, (first, second) = link.pop("field"), link.pop("between")
    if "relation" in link:
        link["relations"] = frozenset(link.pop("relation"))
    shared = {"radius_m": rule["radius_m"], "within_s": rule["within_s"], "same": rule.get("same", ())}
    return made(field, Bond, {"first": first, "second": second, **shared, **link})


_SECONDS = number_schema(0, MAX_SECONDS, integer=True)
_METRES = number_schema(1, MAX_RADIUS_M)
_SAME = Field(
    listed(text), {"type": "array", "items": NAME}, "Attributes that both have, with one value.", needed=False
)

_BOUND: Table = {
    "measure": Field(text, NAME, "Name of a figure in the evidence."),
    "at_least": Field(number, {"type": "number"}, "Least value.", needed=False),
    "at_most": Field(number, {"type": "number"}, "Greatest value.", needed=False),
    "above_expected": Field(number, {"type": "number"}, "How far above what is normal, at least.", needed=False),
}
_ATTRIBUTES: Schema = {
    "type": "object",
    "additionalProperties": {"anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}]},
}
_SELECTOR: Table = {
    "name": Field(text, NAME, "The rule's own word for it."),
    "domain": Field(text, NAME, "Domain: traffic."),
    "kind": Field(text, NAME, "Kind of the observations: road_flow."),
    "type": Field(one_or_more(text), names_schema(), "Name of the detector, or of several that mean the same here."),
    "minimum_score": Field(number, number_schema(0, 1), "Signals of a lower score do not count; 0.", needed=False),
    "minimum_severity": Field(
        one_of(SEVERITIES), word_schema(SEVERITIES), "Signals that matter less do not count; minor.", needed=False
    ),
    "entity": Field(text, TEXT, "Pattern of the entity id, where * is any text.", needed=False),
    "attributes": Field(
        _attributes,
        _ATTRIBUTES,
        "Labels of the entity, each with the values of which it must have one.",
        needed=False,
    ),
    "without": Field(
        _attributes,
        _ATTRIBUTES,
        "Labels of the entity, each with the values of which it must have none; one without the label counts.",
        needed=False,
    ),
    "where": Field(
        listed(_bound),
        {"type": "array", "items": object_schema(_BOUND)},
        "Bounds of figures in the evidence; a signal without the figure does not count.",
        needed=False,
    ),
}
_LINES = {name: name for name in POSITION_LABELS}
_DIRECTIONS = {"down": True, "up": False}
_UNKNOWN_WIND = {"no_link": False, "link": True}
_WIND: Table = {
    "measure": Field(text, NAME, "Figure in the evidence of either that says where the wind comes from, in degrees."),
    "lies": Field(
        one_of(_DIRECTIONS),
        word_schema(_DIRECTIONS),
        "The second lies down the wind; or up.",
        needed=False,
    ),
    "sector_deg": Field(
        number, number_schema(0, 180), "How far the bearing may turn to either side; 45.", needed=False
    ),
    "unknown": Field(
        one_of(_UNKNOWN_WIND),
        word_schema(_UNKNOWN_WIND),
        "What becomes of two where neither tells the wind, or that are at one place; no_link.",
        needed=False,
    ),
}
_ALONG: Table = {
    "of": Field(one_of(_LINES), word_schema(_LINES), "Which attribute both share: line, or road."),
    "within_m": Field(number, number_schema(0, MAX_RADIUS_M), "Metres of it between the two, at most."),
}
_LINK: Table = {
    "between": Field(
        listed(text),
        {"type": "array", "items": NAME, "minItems": 2, "maxItems": 2},
        "The two names; twice the same: signals of one name among themselves, which are not linked otherwise.",
    ),
    "radius_m": Field(number, _METRES, "Great-circle distance, at most; as the rule's.", needed=False),
    "within_s": Field(whole, _SECONDS, "Seconds between the windows, at most; as the rule's.", needed=False),
    "relation": Field(
        one_or_more(one_of(RELATIONS)),
        {"anyOf": [word_schema(RELATIONS), {"type": "array", "items": word_schema(RELATIONS), "minItems": 1}]},
        "How the window of the first may lie to that of the second (Allen's intervals); any.",
        needed=False,
    ),
    "same": _SAME,
    "wind": Field(_wind, object_schema(_WIND), "The second lies up or down the wind of the first.", needed=False),
    "along": Field(
        _along, object_schema(_ALONG), "Both lie on one line, or road, so many metres of it apart.", needed=False
    ),
}
_REACH = number_schema(1, MAX_REACH_S, integer=True)
_TIMES = number_schema(1, MAX_INCIDENTS, integer=True)
_LIMIT: Table = {
    "incidents": Field(whole, _TIMES, "So many of those that begin in one city and stretch of time are told."),
    "within_s": Field(whole, _REACH, "Length of a stretch in seconds; stretches lie side by side from 1970 on."),
}
_FLAPPING: Table = {
    "times": Field(whole, _TIMES, "So many of its rule and of an entity of its own began before it."),
    "within_s": Field(whole, _REACH, "Seconds from the start of the first of them to its own, at most."),
}
_INHIBITION: Table = {
    "rule": Field(text, NAME, "Name of the rule whose incidents tell nobody while one of this rule covers them."),
    "radius_m": Field(number, _METRES, "Each of their signals lies so near one of its own, at most.", needed=False),
    "same": Field(
        listed(text),
        {"type": "array", "items": NAME},
        "Each of their signals has these attributes in common with one of its own.",
        needed=False,
    ),
}
_RULE: Table = {
    "rule": Field(text, NAME, "Its name; part of the id of every incident."),
    "version": Field(whole, number_schema(1, 2**31, integer=True), "To be raised with every change."),
    "mode": Field(
        one_of(MODES),
        word_schema(MODES),
        "shadow: it is tried beside the version in force, and nobody is told what it finds; live.",
        needed=False,
    ),
    "about": Field(text, TEXT, "Why this matters, for people."),
    "title": Field(text, TEXT, "One line; {name} is the entity of the first signal of that name, {city} the city."),
    "severity": Field(one_of(SEVERITIES), word_schema(SEVERITIES), "How much it matters (CAP 1.2)."),
    "signals": Field(
        _selectors, {"type": "array", "items": object_schema(_SELECTOR), "minItems": 1}, "Which signals are looked at."
    ),
    "order": Field(one_of({"none": "none"}), {"enum": ["none"]}, "none: see when for sequences.", needed=False),
    "radius_m": Field(number, _METRES, "Great-circle distance of two linked signals, at most."),
    "within_s": Field(whole, _SECONDS, "Seconds between their windows, at most; 0: they touch or overlap."),
    "keep_open_s": Field(
        whole,
        _SECONDS,
        "What comes back at one of its entities within so many seconds is the same incident; 0.",
        needed=False,
    ),
    "same": _SAME,
    "links": Field(
        listed(_link), {"type": "array", "items": object_schema(_LINK)}, "Pairs with bounds of their own.", needed=False
    ),
    "when": Field(
        read_condition,
        {"$ref": "#/$defs/condition"},
        "When a group of linked signals is an incident; every name takes part.",
        needed=False,
    ),
    "limit": Field(_limit, object_schema(_LIMIT), "How many of its incidents are told; all.", needed=False),
    "flapping": Field(
        _flapping, object_schema(_FLAPPING), "Of an incident that comes back too often nobody is told.", needed=False
    ),
    "inhibits": Field(
        listed(_inhibition),
        {"type": "array", "items": object_schema(_INHIBITION)},
        "Which incidents of other rules tell nobody while one of this rule stands.",
        needed=False,
    ),
    "settled_after_s": Field(
        whole,
        number_schema(1, MAX_SECONDS, integer=True),
        "Seconds after the start of a window from which no signal of it comes or changes any more.",
    ),
}
