"""Times of a checkpoint, and now, as ms."""

from datetime import UTC, datetime


def moment(text: str | None) -> int | None:
    """ISO 8601 with zone as UTC ms."""
    return round(datetime.fromisoformat(text).timestamp() * 1000) if text else None


def now_ms() -> int:
    """UTC, ms."""
    return round(datetime.now(UTC).timestamp() * 1000)
