"""Plots as small SVG files, readable in light and dark mode: lines, on linear or logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 96, 24, 76, 60  # margins: room for labels and the legend
MOST_MARKERS = 40  # of one line: more of them hide it
TICKS = 6

# Okabe and Ito's palette, which colour-blind people can tell apart (jfly.uni-koeln.de/color, 2008).
LIGHT = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#8a6d00", "#333333")
DARK = ("#56b4e9", "#ff9f4a", "#3fd0a4", "#e58fd0", "#f0e442", "#dddddd")
DASHES = ("", "9 4", "2 4", "12 4 2 4", "5 5", "1 6")

Points = Sequence[tuple[float, float]]


class _Axis(NamedTuple):
    """Where a value lies between two pixels, and the values that are marked."""

    place: Callable[[float], float]
    ticks: Sequence[tuple[float, str]]


def lines(
    series: Mapping[str, Points],
    title: str,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    log_y: bool = False,
    x_ticks: Mapping[float, str] | None = None,
) -> str:
    """One line for each series of (x, y), in the order given; the text of an SVG file.

    `x_ticks`: the values that are marked on the x axis and what stands there, in the place of numbers of our choice.
    ValueError: there is no point, more series than colours, or a number on a logarithmic axis that is not positive.
    """
    points = [point for of_series in series.values() for point in of_series]
    if not points or len(series) > len(LIGHT):
        raise ValueError(f"{len(points)} points in {len(series)} series: 1 to {len(LIGHT)} series can be drawn")
    x = _axis([p[0] for p in points], log_x, LEFT, WIDTH - RIGHT, whole=False, named=x_ticks)
    y = _axis([p[1] for p in points], log_y, HEIGHT - BOTTOM, TOP, whole=True)
    body = [_text(WIDTH / 2, 24, title, "title"), *_grid(x, y), *_legend(list(series))]
    for number, of_series in enumerate(series.values()):
        body += _line([(x.place(a), y.place(b)) for a, b in of_series], number)
    body.append(_text(WIDTH / 2, HEIGHT - 16, x_label, "label"))
    body.append(_text(20, (TOP + HEIGHT - BOTTOM) / 2, y_label, "label", turned=True))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    ground = f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}"/>'
    return "\n".join([head, f"<title>{escape(title)}</title>", _style(), ground, *body, "</svg>", ""])


def _style() -> str:
    """Colours by what the reader's screen prefers; the ground is drawn, so that no page shines through."""
    colours = (
        "\n".join(f".s{i} {{ stroke: {c}; }} .d{i} {{ fill: {c}; }}" for i, c in enumerate(palette))
        for palette in (LIGHT, DARK)
    )
    light, dark = colours
    return f"""<style>
text {{ font: 12px system-ui, sans-serif; fill: #24292f; text-anchor: middle; }}
.title {{ font-size: 15px; font-weight: 600; }}
.key {{ text-anchor: start; }} .number {{ text-anchor: end; }}
.ground {{ fill: #ffffff; }} .grid {{ stroke: #d8dee4; }} .line {{ fill: none; stroke-width: 2; }}
{light}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3; }} .ground {{ fill: #0d1117; }} .grid {{ stroke: #30363d; }}
{dark}
}}
</style>"""


def _axis(
    values: Sequence[float],
    logarithmic: bool,
    begin: float,
    end: float,
    *,
    whole: bool,
    named: Mapping[float, str] | None = None,
) -> _Axis:
    """`whole`: it begins and ends at a tick, and a linear one at zero; else at the least and the greatest value."""
    least, greatest = min(values), max(values)
    if logarithmic and least <= 0:
        raise ValueError(f"{least} has no place on a logarithmic axis")
    ticks = _logarithmic_ticks(least, greatest) if logarithmic else _linear_ticks(min(least, 0.0), greatest)
    low, high = (ticks[0], ticks[-1]) if whole else (least, greatest)
    scale = math.log10 if logarithmic else float
    span = scale(high) - scale(low) or 1.0

    def place(value: float) -> float:
        return begin + (scale(value) - scale(low)) / span * (end - begin)

    marked = named or {tick: f"{tick:,.6g}" for tick in ticks}
    inside = (low - 0.001 * abs(low), high + 0.001 * abs(high))  # 1 / (1 - 0.999) is not quite 1,000
    return _Axis(place, [(tick, text) for tick, text in marked.items() if inside[0] <= tick <= inside[1]])


def _linear_ticks(least: float, greatest: float) -> list[float]:
    rough = (greatest - least) / TICKS or 1.0
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(n * magnitude for n in (1, 2, 5, 10) if n * magnitude >= rough * 0.999)
    return [n * step for n in range(math.floor(least / step), math.ceil(greatest / step * 0.999) + 1)]


def _logarithmic_ticks(least: float, greatest: float) -> list[float]:
    """Powers of ten, and where there are few of them 2 and 5 in between."""
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(greatest))
    between = (1, 2, 5) if high - low <= TICKS // 2 else (1,)
    ticks = [n * 10.0**power for power in range(low, high + 1) for n in between]
    first = max((i for i, tick in enumerate(ticks) if tick <= least), default=0)
    last = next((i for i, tick in enumerate(ticks) if tick >= greatest), len(ticks) - 1)
    return ticks[first : max(last, first + 1) + 1]


def _grid(x: _Axis, y: _Axis) -> list[str]:
    drawn = []
    for tick, text in x.ticks:
        at = x.place(tick)
        drawn.append(f'<path class="grid" d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        drawn.append(_text(at, HEIGHT - BOTTOM + 18, text))
    for tick, text in y.ticks:
        at = y.place(tick)
        drawn.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        drawn.append(_text(LEFT - 8, at + 4, text, "number"))
    return drawn


def _legend(names: Sequence[str]) -> list[str]:
    drawn, left = [], float(LEFT)
    for number, name in enumerate(names):
        drawn.append(f'<path class="line s{number}" stroke-dasharray="{DASHES[number]}" d="M{left:.0f} 50h30"/>')
        drawn.append(_text(left + 36, 54, name, "key"))
        left += 58 + 6.6 * len(name)
    return drawn


def _line(places: Points, number: int) -> list[str]:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    drawn = [f'<path class="line s{number}" stroke-dasharray="{DASHES[number]}" d="M{path}"/>']
    if len(places) <= MOST_MARKERS:
        drawn += [f'<circle class="d{number}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places]
    return drawn


def _text(x: float, y: float, text: str, kind: str = "", *, turned: bool = False) -> str:
    turn = f' transform="rotate(-90 {x:.0f} {y:.0f})"' if turned else ""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{turn}>{escape(text)}</text>'
