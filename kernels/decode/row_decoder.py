"""One row, exactly: its values, or the rule that it breaks. The definition that the columns must equal."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from ecompulse.kernels.decode.cells import Cell, Reading
from ecompulse.kernels.decode.conversions import CONVERSIONS, Value, check_size
from ecompulse.kernels.decode.plan import COLUMN_FIELDS, IDENTITIES, NOTHING_IF_EMPTY, PROPERTIES, Plan
from ecompulse.kernels.decode.rules import BrokenRule, Rule
from ecompulse.kernels.decode.strict_json import canonical, literal, parse
from ecompulse.kernels.decode.units import by_currency, digits_of
from ecompulse.kernels.event import BY_NAME, Field, Kind
from ecompulse.kernels.hashing import ID_DIGITS
from ecompulse.kernels.mapping import in_capitals


@dataclass(frozen=True)
class Record:
    """One row, split into what feeds fields and the rest.

    Attributes:
        cells: by event field; absent and null ones are left out.
        unknown: other keys with their JSON values; nulls are left out.
        properties: the JSON value of `properties`, or its text where the source has no objects; None if absent.
        content: the whole row as text, for the hash.
    """

    cells: dict[str, Cell]
    unknown: dict[str, Any]
    properties: Any
    content: str


def decode_row(record: Record, plan: Plan) -> dict[str, Value | None]:
    """The values of a good row, by field.

    Raises:
        BrokenRule: with the event time if it could be read.
    """
    try:
        return _values(record, plan)
    except BrokenRule as broken:
        broken.event_time_ms = _readable_time(record, plan)
        raise


def record_of(values: dict[str, Any], content: str, plan: Plan) -> Record:
    """The record of a parsed JSON object."""
    cells, unknown = dict(plan.constants), {}
    given = None
    for key, value in values.items():
        field = plan.sources.get(key)
        if value is None or key in plan.mapping.drop:
            continue
        if field == PROPERTIES:
            given = value
        elif field is None:
            unknown[key] = value
        else:
            cells[field] = Cell(value, quoted=True) if isinstance(value, str) else Cell(literal(value), quoted=False)
    return Record(cells, unknown, given, content)


def _values(record: Record, plan: Plan) -> dict[str, Value | None]:
    values: dict[str, Value | None] = {}
    for field in COLUMN_FIELDS:
        values[field.name] = _value(field, record, plan)
    if all(values[name] is None for name in IDENTITIES):
        raise BrokenRule(Rule.MISSING_REQUIRED, plan.nobody)
    values["event_type"] = plan.mapping.event_types.get(str(values["event_type"]), values["event_type"])
    if values["currency"] is None:
        values["currency"] = plan.mapping.default_currency
    values[PROPERTIES] = _merged(record, plan)
    return values


def _value(field: Field, record: Record, plan: Plan) -> Value | None:
    given = record.cells.get(field.name)
    cell = _prepared(field, given, plan)
    if cell is None and field.name == "event_id" and plan.hashes_ids:
        return hashlib.sha256(record.content.encode()).hexdigest()[:ID_DIGITS]
    named = plan.named(field.name)
    if cell is None or (cell.text == "" and field.required):
        if field.required:
            raise BrokenRule(Rule.MISSING_REQUIRED, f"{named} is {'missing' if cell is None else 'empty'}")
        return None
    try:
        check_size(cell.text)
        value = CONVERSIONS[field.kind].exact(cell, _reading(field, record, plan))
        value = in_capitals(str(value)) if field.name == "currency" else value
        _check_allowed(value, plan.mapping.values.get(field.name))
    except BrokenRule as broken:
        raise broken.under(named, *_shown(given)) from None
    return None if value == "" and field.name in NOTHING_IF_EMPTY else value


def _reading(field: Field, record: Record, plan: Plan) -> Reading:
    """How a field is read; an amount in minor units by the currency, of which what is wrong is said in its turn."""
    reading = plan.readings[field.name]
    if field.name not in by_currency(plan.mapping):
        return reading
    try:
        currency = _value(BY_NAME["currency"], record, plan)
    except BrokenRule:
        currency = None
    known = plan.mapping.default_currency if currency is None else str(currency)
    return replace(reading, minor_digits=digits_of(known, plan.mapping))


def _prepared(field: Field, given: Cell | None, plan: Plan) -> Cell | None:
    reading = plan.readings[field.name]
    if reading.preparation is None or field.name in plan.constants:
        return given
    try:
        return reading.prepared(given) if given else reading.absent()
    except BrokenRule as broken:
        raise broken.under(plan.named(field.name), *_shown(given)) from None


def _shown(cell: Cell | None) -> tuple[str, ...]:
    if cell is None:
        return ()
    return (f'"{cell.text}"' if cell.quoted else cell.text,)


def _check_allowed(value: Value, allowed: tuple[str, ...] | None) -> None:
    if allowed and value not in allowed:
        raise BrokenRule(Rule.WRONG_TYPE, f"is none of {', '.join(allowed)}")


def _merged(record: Record, plan: Plan) -> str | None:
    given = _given(record.properties, lenient=plan.mapping.lenient or not plan.typed)
    if given is None and not record.unknown:
        return None
    both = sorted(given.keys() & record.unknown.keys()) if given else []
    if both:
        raise BrokenRule(Rule.DUPLICATE_KEY, "properties: unknown field {} is in properties too", both[0])
    merged = canonical({**(given or {}), **record.unknown})
    try:
        check_size(merged)
    except BrokenRule as broken:
        raise broken.under(PROPERTIES, merged) from None
    return merged


def _given(value: Any, *, lenient: bool) -> dict[str, Any] | None:
    """The object in `properties`; where sources have no objects it is the text of one."""
    if isinstance(value, str) and lenient:
        try:
            value = parse(value)
        except BrokenRule as broken:
            rule = Rule.WRONG_TYPE if broken.rule is Rule.BROKEN_JSON else broken.rule
            raise broken.under(PROPERTIES, rule=rule) from None
    if value is None or isinstance(value, dict):
        return value
    raise BrokenRule(Rule.WRONG_TYPE, "properties: {} is not an object", canonical(value))


def _readable_time(record: Record, plan: Plan) -> int | None:
    try:
        cell = _prepared(BY_NAME["event_time"], record.cells.get("event_time"), plan)
        return None if cell is None else int(CONVERSIONS[Kind.TIME].exact(cell, plan.readings["event_time"]))
    except BrokenRule:
        return None
