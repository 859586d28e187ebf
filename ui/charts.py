"""Charts as SVG: complete without JavaScript, in the colours of the page, each point with its value as a title."""

from collections.abc import Mapping, Sequence
from typing import Final

from markupsafe import Markup, escape

from ecompulse.ui.words import number, short

WIDTH: Final = 640
HEIGHT: Final = 160
_LEFT: Final = 56
_BOTTOM: Final = 18
_TOP: Final = 8
_COLOURS: Final = 8
"""Series that have a colour of their own in the style sheet (`.s0` and on); further ones repeat them."""


def line_chart(
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    incidents: Sequence[tuple[int, int, str]] = (),
    expected: Sequence[tuple[int, float, float]] = (),
) -> Markup:
    """Lines over equal steps; a None is a gap. Empty without a value.

    Args:
        title: of the chart.
        labels: of the steps.
        series: by name.
        incidents: first and last step, and what it was: bands behind the lines.
        expected: step, lowest and highest value that were expected there.
    """
    known = [value for values in series.values() for value in values if value is not None]
    if not known:
        return Markup()
    known += [end for _, *ends in expected for end in ends]
    low, high = min(0.0, *known), max([*known, 0.0]) or 1.0
    body = _marked(labels, incidents, expected, low, high)
    for place, (name, values) in enumerate(series.items()):
        runs: list[list[tuple[float, float]]] = [[]]
        for at, value in enumerate(values):
            if value is None:
                runs.append([])
                continue
            x, y = _x(at, len(labels)), _y(value, low, high)
            runs[-1].append((x, y))
            told = f"{labels[at]} {name}: {number(value)}"
            body += Markup('<circle class="s{}" cx="{:.1f}" cy="{:.1f}" r="2"><title>{}</title></circle>').format(
                place % _COLOURS, x, y, told
            )
        for run in runs:
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
            body += Markup('<polyline class="s{}" points="{}"/>').format(place % _COLOURS, points)
    return _framed(title, labels, list(series), low, high, body)


def stacked_chart(title: str, labels: Sequence[str], series: Mapping[str, Sequence[float]]) -> Markup:
    """Bars of parts that add up."""
    totals = [sum(values) for values in zip(*series.values(), strict=True)]
    if not any(totals):
        return Markup()
    high, width = max(totals), max((WIDTH - _LEFT) / max(len(labels), 1) - 1, 1)
    body, floors = Markup(), [0.0] * len(labels)
    for place, (name, values) in enumerate(series.items()):
        for at, value in enumerate(values):
            top, bottom = _y(floors[at] + value, 0, high), _y(floors[at], 0, high)
            floors[at] += value
            if value:
                body += Markup(
                    '<rect class="s{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
                ).format(
                    place % _COLOURS, _LEFT + at * (WIDTH - _LEFT) / len(labels), top, width, bottom - top,
                    f"{labels[at]} {name}: {number(value)}",
                )  # fmt: skip
    return _framed(title, labels, list(series), 0, high, body)


def bar_chart(title: str, bars: Mapping[str, float]) -> Markup:
    """A bar per label."""
    return stacked_chart(title, list(bars), {"rows": list(bars.values())})


def _marked(
    labels: Sequence[str],
    incidents: Sequence[tuple[int, int, str]],
    expected: Sequence[tuple[int, float, float]],
    low: float,
    high: float,
) -> Markup:
    body = Markup()
    for first, last, what in incidents:
        left, right = _x(first, len(labels)), _x(last, len(labels))
        told = f"{what}, {labels[first]} to {labels[last]}"
        body += Markup(
            '<rect class="incident" x="{:.1f}" y="{}" width="{:.1f}" height="{}"><title>{}</title></rect>'
        ).format(left - 2, _TOP, max(right - left, 0) + 4, HEIGHT - _TOP - _BOTTOM, told)
    for at, least, most in expected:
        told = f"{labels[at]} expected {number(least)} to {number(most)}"
        body += Markup(
            '<line class="expected" x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}"><title>{3}</title></line>'
        ).format(_x(at, len(labels)), _y(most, low, high), _y(least, low, high), told)
    return body


def _x(at: int, count: int) -> float:
    return _LEFT + (WIDTH - _LEFT - 4) * (at / (count - 1) if count > 1 else 0.5)


def _y(value: float, low: float, high: float) -> float:
    return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - (value - low) / ((high - low) or 1.0))


def _framed(title: str, labels: Sequence[str], names: Sequence[str], low: float, high: float, body: Markup) -> Markup:
    axis = Markup()
    for value in (low, (low + high) / 2, high):
        y = _y(value, low, high)
        axis += Markup('<line class="axis" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(_LEFT, WIDTH, y, y)
        axis += Markup('<text x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(_LEFT - 4, y + 4, short(value))
    ends = Markup('<text x="{}" y="{}">{}</text>').format(_LEFT, HEIGHT - 2, labels[0])
    if len(labels) > 1:
        ends += Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(WIDTH, HEIGHT - 2, labels[-1])
    legend = Markup().join(
        Markup('<li class="s{}">{}</li>').format(place % _COLOURS, escape(name)) for place, name in enumerate(names)
    )
    picture = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}</svg>').format(
        WIDTH, HEIGHT, title, axis, ends, body
    )
    return Markup('<figure><figcaption>{}</figcaption>{}<ul class="legend">{}</ul></figure>').format(
        title, picture, legend
    )
