"""How a field is made of what rows have: several paths, value maps, numbers as people write them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

import polars as pl

from ecompulse.kernels.config import ConfigError

MAX_PATTERN: Final = 500
"""Characters of a regular expression; it is run by an engine whose time grows with the text and nothing else."""

_SIGNS: Final = r"^(?:[A-Za-z]{2,3}|[\p{Sc}])[\p{Sc}\s\u{a0}\u{202f}]*|[\s\u{a0}\u{202f}]*(?:[A-Za-z]{2,3}|[\p{Sc}])$"
_SIGNED: Final = r"^([+-])\s*[\p{Sc}][\s\u{a0}\u{202f}]*"
_SCALED: Final = r"[0-9][\s\u{a0}\u{202f}]*(?:(?i:tsd|mio|mia|mil|mln|mrd|bn)|mn)(?:[^A-Za-z]|$)"
"""Words that look like codes of currencies, and make a number another: what they mean depends on the language."""
_DIGITS: Final = r"^-?[0-9]{1,15}$"


@dataclass(frozen=True)
class Numbers:
    """How numbers are written as text. Signs and codes of currencies around them are passed over.

    A text that does not keep to it, such as `1.5` where the point groups thousands, is no number; nor is `12 mio`.

    Attributes:
        decimal: what stands before the decimals.
        thousands: what groups digits by three; a blank is any blank.
    """

    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'"] = ""

    def __post_init__(self) -> None:
        if self.decimal == self.thousands:
            raise ConfigError("thousands", "is the decimal sign, too")

    @property
    def pattern(self) -> str:
        """What a number looks like."""
        decimals = rf"(?:{re.escape(self.decimal)}[0-9]+)?"
        if not self.thousands:
            return rf"^[+-]?[0-9]+{decimals}$"
        group = r"[\s\u{a0}\u{202f}]" if self.thousands == " " else re.escape(self.thousands)
        return rf"^[+-]?(?:[0-9]{{1,3}}(?:{group}[0-9]{{3}})+|[0-9]+){decimals}$"

    def plain(self, text: pl.Expr) -> pl.Expr:
        """Numbers as JSON has them, empty where there is none."""
        bare = text.str.strip_chars().str.replace(_SIGNED, "$1").str.replace_all(_SIGNS, "")
        number = bare
        if self.thousands:
            group = r"[\s\u{a0}\u{202f}]" if self.thousands == " " else re.escape(self.thousands)
            number = number.str.replace_all(group, "")
        number = number.str.replace(self.decimal, ".", literal=True)
        return pl.when(text.is_not_null()).then(
            pl.when(bare.str.contains(self.pattern) & ~text.str.contains(_SCALED)).then(number).otherwise(pl.lit(""))
        )


@dataclass(frozen=True)
class From:
    """How a field is made, where the name of a column does not say it all.

    Attributes:
        paths: where its value is: the first path that has one.
        join: what to put between the values of all paths, which then are one text; absent where one is.
        match: a regular expression; the value is its first group, else what it matches, and absent where it does not.
        map: value -> what it becomes.
        unmapped: what becomes of a value that `map` does not have: it is kept, is absent, or makes a dead letter.
        default: where it is absent.
        numbers: how it is written as a number, where that differs from the mapping's.
    """

    paths: tuple[str, ...] = field(metadata={"key": "from"})
    join: str | None = None
    match: str | None = None
    map: Mapping[str, str | None] = field(default_factory=dict)
    unmapped: Literal["keep", "null", "refuse"] = "keep"
    default: str | None = None
    numbers: Numbers | None = None

    def __post_init__(self) -> None:
        if not self.paths:
            raise ConfigError("from", "names no path")
        if self.match is None:
            return
        if len(self.match) > MAX_PATTERN:
            raise ConfigError("match", f"has {len(self.match)} characters, more than {MAX_PATTERN}")
        try:
            pl.Series([""]).str.extract(self.match, 0)
        except pl.exceptions.PolarsError as error:
            why = next(
                (line for line in str(error).splitlines() if line.startswith("error:")), "error: it cannot be read"
            )
            raise ConfigError("match", f"is no regular expression: {why.removeprefix('error: ')}") from None

    @property
    def converts(self) -> bool:
        """Whether the value is not taken as it stands."""
        return bool(self.match or self.map or self.default is not None or self.numbers)


@dataclass(frozen=True)
class Preparation:
    """What is done with the text of a cell before it is read as a field's kind.

    Attributes:
        nulls: texts that stand for nothing.
        made: see `From`.
        numbers: of a field that holds a number.
    """

    nulls: tuple[str, ...] = ()
    made: From | None = None
    numbers: Numbers | None = None

    def apply(self, text: pl.Series, quoted: pl.Series) -> tuple[pl.Series, pl.Series, pl.Series]:
        """Texts, whether they are strings, and where they may be believed though numbers went through a double."""
        value, string = pl.col("text"), pl.col("quoted")
        frame = pl.DataFrame({"text": text, "quoted": quoted})
        certain = string | value.is_null() | value.str.contains(_DIGITS)
        if self.nulls:
            value = pl.when(~(value.is_in(list(self.nulls)) & string)).then(value)
        made = self.made
        if made and made.match is not None:
            group = 1 if _groups(made.match) else 0
            value, string = value.str.extract(made.match, group), pl.lit(value=True)
        if made and made.map:
            known = list(made.map)
            other = {"keep": value, "null": pl.lit(None, pl.String), "refuse": value}[made.unmapped]
            listed = value.is_in(known)
            refused = pl.lit(value=made.unmapped == "refuse") & ~listed & value.is_not_null()
            certain = certain & ~refused
            mapped = value.replace_strict(known, list(made.map.values()), default=None, return_dtype=pl.String)
            string = string | listed
            value = pl.when(listed).then(mapped).otherwise(other)
        if self.numbers:
            value = pl.when(string).then(self.numbers.plain(value)).otherwise(value)
        if made and made.default is not None:
            string = string | value.is_null()
            value = value.fill_null(made.default)
        converts = pl.lit(value=bool(made and (made.match or made.map)))
        done = frame.select(text=value, quoted=string, certain=(certain | ~converts))
        return done["text"], done["quoted"].fill_null(value=False), done["certain"].fill_null(value=False)

    def refuses(self, text: str, *, quoted: bool) -> bool:
        """Whether a value is none of those that are mapped, which must be."""
        made = self.made
        if not made or not made.map or made.unmapped != "refuse" or (quoted and text in self.nulls):
            return False
        if made.match is None:
            return text not in made.map
        part = pl.Series([text]).str.extract(made.match, 1 if _groups(made.match) else 0)[0]
        return part is not None and part not in made.map


@lru_cache(maxsize=256)
def _groups(pattern: str) -> int:
    """Groups of a pattern that capture."""
    bare = re.sub(r"\\.|\[[^\]]*\]", "", pattern)
    return len(re.findall(r"\((?!\?)|\(\?P?<(?![=!])", bare))
