"""The rules an event is held to, each with its text: a row that breaks one becomes a dead letter of that name."""

from collections.abc import Container, Sequence
from enum import StrEnum
from typing import Final, Self

SHOWN_CHARS: Final = 80
"""A message shows at most this much of the value."""

HIDDEN: Final = "***"
"""What stands for a value where none may be told."""

MAX_DEPTH: Final = 100
"""Levels of nesting of a JSON row, the row itself being the first."""


class Rule(StrEnum):
    """What a dead letter failed, in order of precedence for the rules of the whole row.

    A row is named after the first rule that it breaks: whole-row rules in this order, then the fields in
    the order of `ecompulse.kernels.event.FIELDS`.
    """

    help: str

    UNREADABLE_FILE = "unreadable_file", "no row, but a file that cannot be read; it is tried again when it changes"
    BROKEN_PAYLOAD = "broken_payload", "the message is none of its schema, or names none that the registry has"
    ROW_TOO_LARGE = "row_too_large", "the row is over 1 MiB; its letter keeps the first 64 KiB and the length"
    INVALID_UTF8 = "invalid_utf8", "the row is not UTF-8"
    BROKEN_JSON = "broken_json", "the row is not JSON (RFC 8259), or nested over 100 levels"
    BROKEN_CSV = "broken_csv", "the record cannot be split into the columns of its header"
    NOT_AN_OBJECT = "not_an_object", "the row is JSON, but no object"
    DUPLICATE_KEY = (
        "duplicate_key",
        "an object of the row, at any depth, has a key twice; or an unknown field is also in `properties`",
    )
    NO_EVENT = "no_event", "no shape of the mapping makes an event of the row, which it does not skip either"
    NOT_FINITE = "not_finite", "NaN or Infinity"
    OUT_OF_RANGE = "out_of_range", "a number that its type cannot hold"
    FIELD_TOO_LARGE = "field_too_large", "a field is over 64 KiB; `properties` as merged and canonical"
    MISSING_REQUIRED = (
        "missing_required",
        "a required field is absent, null or empty; or both user_id and anonymous_id are",
    )
    WRONG_TYPE = "wrong_type", "the field is of another type"
    EVENT_TIME_IN_FUTURE = "event_time_in_future", "event_time is more than 5 minutes after now"
    EVENT_TIME_TOO_OLD = "event_time_too_old", "event_time is before 1990"

    def __new__(cls, value: str, text: str) -> Self:
        """A member is its name in dead letters, and carries its text."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.help = text
        return member


WHOLE_ROW: Final = frozenset(
    (
        Rule.BROKEN_PAYLOAD,
        Rule.ROW_TOO_LARGE,
        Rule.INVALID_UTF8,
        Rule.BROKEN_JSON,
        Rule.BROKEN_CSV,
        Rule.NOT_AN_OBJECT,
        Rule.NO_EVENT,
    )
)
"""Rules that say nothing of one line of a row."""


class BrokenRule(Exception):  # noqa: N818  # it names what the row broke, no fault of the program
    """A row broke a rule; never leaves `decode`.

    Attributes:
        rule: which one.
        message: one line that names the field and shows its value.
        bare: the same with nothing that the row says: no value, and no key that only the row knows.
        event_time_ms: the row's event time (UTC ms) if that much could be read.
    """

    def __init__(self, rule: Rule, text: str, *told: str, names: Container[str] = ()) -> None:
        """`text` is ours, with `{}` for each of `told`, which is of the row; `bare` tells only what is in `names`."""
        self.rule = rule
        self.message = _filled(text, [shown(value) for value in told])
        self.bare = _filled(text, [shown(value) if value in names else HIDDEN for value in told])
        self.event_time_ms: int | None = None
        super().__init__(self.message)

    def alone(self) -> Self:
        """Itself without the frames that it passed through: who keeps it must not keep their batch in memory."""
        self.__traceback__ = self.__context__ = None
        return self

    def again(self) -> Self:
        """The same, to be raised: one that is kept must not be, since it would gather frames."""
        copy = type(self)(self.rule, "")
        copy.message, copy.bare, copy.event_time_ms = self.message, self.bare, self.event_time_ms
        return copy

    def under(self, name: str, *value: str, rule: Rule | None = None) -> Self:
        """The same of a field, and of its value if there is one: `name: value message`."""
        broken = self.again()
        broken.rule = rule or self.rule
        broken.message = " ".join((f"{name}:", *map(shown, value), self.message))
        broken.bare = " ".join((f"{name}:", *[HIDDEN] * len(value), self.bare))
        return broken


def shown(text: str) -> str:
    """A value as messages show it: one line, cut to `SHOWN_CHARS`."""
    cut = text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "..."
    return cut.encode("unicode_escape", "backslashreplace").decode("ascii") if _is_odd(cut) else cut


def _filled(text: str, told: Sequence[str]) -> str:
    first, *others = text.split("{}", len(told))
    return first + "".join(value + other for value, other in zip(told, others, strict=True))


def _is_odd(text: str) -> bool:
    return not text.isprintable()
