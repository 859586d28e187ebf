"""Grouping by key, windows included, as Beam's in-process runner does."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from apache_beam import coders
from apache_beam.transforms import trigger
from apache_beam.transforms.window import GlobalWindow, GlobalWindows
from apache_beam.utils.windowed_value import PaneInfo, PaneInfoTiming

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
        whole = GlobalWindows.windowed_value(None, timestamp=GlobalWindow().max_timestamp(), pane_info=_ONLY_PANE)
        for group in groups.values():
            yield whole.with_value(group)
        return
    for key, held_values in groups.values():
        yield from trigger.create_trigger_driver(windowing, True).process_entire_key(key, held_values)  # as above


def _encoded(key: Any) -> bytes:
    return bytes(coders.FastPrimitivesCoder().as_deterministic_coder("GroupByKey").encode(key))
