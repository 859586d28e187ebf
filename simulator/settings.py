"""What a simulated shop is asked to be."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Final

from ecompulse.kernels.durations import parse_duration
from ecompulse.simulator.episode import Episode

DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
MAX_PRODUCTS: Final = 2**20
_FIRST_MS, _LAST_MS = -2_208_988_800_000, 221_845_392_000_000  # the years 1900 to 8999: room for what is around it
_EVENTS_PER_SLICE: Final = 25_000
_LEAST_SLICES: Final = 4
_EVENTS_PER_SHOPPER: Final = 40


class SettingsError(ValueError):
    """A setting that cannot be; the message names it and the mend."""


def milliseconds(duration: str) -> int:
    """Milliseconds of a duration such as `90s`, `10m`, `6h` or `2d`."""
    try:
        return parse_duration(duration)
    except ValueError as error:
        raise SettingsError(str(error)) from None


def instant(start: str | int) -> int:
    """UTC milliseconds of an ISO 8601 time with zone, or of a number of milliseconds."""
    if isinstance(start, int):
        return start
    try:
        moment = datetime.fromisoformat(start)
    except ValueError as error:
        raise SettingsError(f"start '{start}' is no ISO 8601 time such as 2025-09-01T00:00:00Z") from error
    if moment.tzinfo is None:
        raise SettingsError(f"start '{start}' has no zone: add Z or an offset")
    try:
        return round(moment.astimezone(UTC).timestamp() * 1000)
    except OverflowError:
        raise SettingsError(f"start '{start}' is beyond what a calendar has") from None


@dataclass(frozen=True)
class Settings:
    """One shop. Equal settings give equal bytes.

    Rates are shares from 0 to 1; those of flaws are shares of the good events.

    Attributes:
        seed: of everything.
        start: first moment, ISO 8601 with zone or UTC ms.
        duration_ms: event time covered; visits under way at its end are finished, later refunds not made.
        events: good events to make, within a few per cent.
        shoppers: how many people; by default so many that each makes some 40 events.
        products: size of the catalogue.
        bots: share of events made by crawlers.
        flat: no daily and weekly rhythm.
        shared_device: share of members' visits in which a second member takes over the device.
        no_result: share of searches that find nothing.
        out_of_order: share that arrives noticeably after its time, within `watermark_delay_ms`.
        late: share that arrives so late that the watermark should have passed it.
        duplicates: share sent again, byte for byte, within `watermark_delay_ms` of its time.
        broken: rows added that a decoder must refuse.
        unknown_fields: share with a field that the event does not have.
        unknown_types: share of page views with a type that nobody knows.
        watermark_delay_ms: disorder that a job is told to expect.
        slice_ms: event time made at once (and per file); by default some 25,000 events.
        warm_up_ms: how long the shop runs before it is looked at; episodes count from then on.
        episodes: what befalls the shop; see `episodes`.
    """

    seed: int = 1
    start: str | int = "2025-09-01T00:00:00Z"
    duration_ms: int = DAY_MS
    events: int = 100_000
    shoppers: int | None = None
    products: int = 2_000
    bots: float = 0.06
    flat: bool = False
    shared_device: float = 0.01
    no_result: float = 0.08
    out_of_order: float = 0.05
    late: float = 0.0005
    duplicates: float = 0.005
    broken: float = 0.001
    unknown_fields: float = 0.002
    unknown_types: float = 0.0005
    watermark_delay_ms: int = 600_000
    slice_ms: int | None = None
    warm_up_ms: int = 0
    episodes: tuple[Episode, ...] = ()

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is float and not 0 <= value <= 1:
                raise SettingsError(f"{field.name} is {value}: a share is from 0 to 1")
        for name in ("duration_ms", "events", "products", "watermark_delay_ms", "shoppers", "slice_ms"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"{name} is {value}: it must be at least 1")
        if self.products > MAX_PRODUCTS:
            raise SettingsError(f"products is {self.products}: at most {MAX_PRODUCTS}")
        if not _FIRST_MS <= self.start_ms <= self.end_ms <= _LAST_MS:
            raise SettingsError(f"start is {self.start}: it must be from 1900 on, and the duration end before 9000")
        if self.seed < 0:
            raise SettingsError(f"seed is {self.seed}: it must not be negative")

    @property
    def start_ms(self) -> int:
        """First moment, UTC ms."""
        return instant(self.start)

    @property
    def end_ms(self) -> int:
        """Moment after the last visit's start, UTC ms."""
        return self.start_ms + self.duration_ms

    @property
    def shopper_count(self) -> int:
        """People in the shop's world."""
        return self.shoppers or max(20, self.events // _EVENTS_PER_SHOPPER)

    def slices(self) -> list[tuple[int, int]]:
        """Spans of event time (UTC ms, end exclusive) that are made, and written, one at a time."""
        wanted = max(_LEAST_SLICES, -(-self.events // _EVENTS_PER_SLICE))
        length = self.slice_ms or max(1, -(-self.duration_ms // wanted))
        starts = range(self.start_ms, self.end_ms, length)
        return [(start, min(start + length, self.end_ms)) for start in starts]
