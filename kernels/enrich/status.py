"""What a step says about a row: the values of `<step>_status`."""

from typing import Final

OK: Final = "ok"
OFF: Final = "off"  # the step is turned off, or has nothing to work with by configuration
NO_KEY: Final = "no_key"  # the row has no value to look up
NOT_FOUND: Final = "not_found"
FAILED: Final = "failed"  # the store did not answer: nulls
STALE: Final = "stale"  # an expired entry, or a rate older than allowed, was used
MALFORMED: Final = "malformed"
PRIVATE: Final = "private"
RESERVED: Final = "reserved"
NO_DATABASE: Final = "no_database"
DIRECT: Final = "direct"
INTERNAL: Final = "internal"
NO_AMOUNT: Final = "no_amount"
NO_CURRENCY: Final = "no_currency"
NO_RATE: Final = "no_rate"
OVERFLOW: Final = "overflow"  # a converted amount does not fit decimal(18,4): null
