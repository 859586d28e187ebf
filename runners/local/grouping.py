"""Grouping by key, windows included, as Beam's in-process runner does."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from apache_beam import coders
from apache_beam.transforms import trigger
from apache_beam.transforms.window import GlobalWindow, GlobalWindows
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import PaneInfo, PaneInfoTiming, WindowedValue

_PLAIN: Final = frozenset({int, str, bytes})
_ONLY_PANE: Final = PaneInfo(True, True, PaneInfoTiming.ON_TIME, 0, 0)  # Beam's own positional arguments


def grouped(values: Iterable[Any], windowing: Any) -> Iterator[Any]:
    """Windowed (key, values) of windowed (key, value), in the order in which keys came.

    Keys are equal when Beam encodes them alike: 1, 1.0 and True are three.
    """
    plain = windowing.is_default()
    groups: dict[Any, tuple[Any, list[Any]]] = {}
    for found in values:
        key, value = found.value
        identity = (type(key), key) if type(key) in _PLAIN else (None, _encoded(key))
        held = groups.get(identity)
        if held is None:
            held = groups[identity] = (key, [])
        held[1].append(value if plain else found.with_value(value))
    if plain:
        yield from map(_WHOLE.with_value, groups.values())
        return
    for key, windowed in groups.values():
        for made in trigger.create_trigger_driver(windowing, True).process_entire_key(key, windowed):  # as above
            yield WindowedValue(made.value, _whole_ms(made.timestamp), made.windows, made.pane_info)


def _whole_ms(timestamp: Timestamp) -> Timestamp:
    """What Beam's coder leaves of a time; the last of a window is a microsecond before its end.

    It cuts towards 1970, as C divides.
    """
    whole = abs(timestamp.micros) // 1000 * 1000
    return Timestamp(micros=whole if timestamp.micros >= 0 else -whole)


_WHOLE: Final = GlobalWindows.windowed_value(
    None, timestamp=_whole_ms(GlobalWindow().max_timestamp()), pane_info=_ONLY_PANE
)


def _encoded(key: Any) -> bytes:
    return bytes(coders.FastPrimitivesCoder().as_deterministic_coder("GroupByKey").encode(key))
