"""A line chart as SVG, by hand: no library, no script, legible on a light and on a dark page and on paper."""

import html
import math
from collections.abc import Sequence

from nanochat_np.report.record import Chart, Series
from nanochat_np.report.scale import Range, clipped, share, ticks, widened

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 60, 708, 58, 274  # of the box that the lines stay in
_CHARACTER = 6.6  # of a legend, about
# Colours that people with any colour vision tell apart (Okabe & Ito 2008), on white and on black.
_LIGHT = ("#0072B2", "#D55E00", "#007D5B", "#A8528A")
_DARK = ("#56B4E9", "#E69F00", "#2FC49B", "#DB97BD")
_DASHES = ("none", "6 3", "2 3", "8 3 2 3")


def _colors(colors: Sequence[str], text: str, grid: str) -> str:
    rules = [f".chart text{{fill:{text}}}.chart .grid{{stroke:{grid}}}.chart .axis{{stroke:{text}}}"]
    rules += [f".chart .s{i}{{stroke:{color}}}.chart .d{i}{{fill:{color}}}" for i, color in enumerate(colors)]
    return "".join(rules)


_STYLE = (
    ".chart{font:12px system-ui,-apple-system,'Segoe UI',sans-serif}.chart .title{font-size:14px;font-weight:600}"
    ".chart path,.chart line{fill:none}"
    + _colors(_LIGHT, "#333", "#ddd")
    + "@media screen and (prefers-color-scheme:dark){"
    + _colors(_DARK, "#ddd", "#444")
    + "}"
)


def svg(chart: Chart, name: str, about: str) -> str:
    """The chart as an SVG element; ``name`` makes its ids its own, ``about`` is what its title begins with."""
    points = [(step, value) for each in chart.series for step, value in zip(each.steps, each.values, strict=True)]
    finite = [(step, clipped(value)) for step, value in points if math.isfinite(value)]
    x_range = widened([0, *(step for step, _ in finite)], 0.0)
    y_range = widened([value for _, value in finite], 0.05)
    title = f"{about}: {chart.title}, {chart.unit}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-labelledby="{name}-title {name}-desc">',
        f'<title id="{name}-title">{html.escape(title)}</title>',
        f'<desc id="{name}-desc">{html.escape("; ".join(map(_told, chart.series)))}.</desc>',
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="20">{html.escape(title)}</text>',
        *_legend(chart.series),
        *_axes(x_range, y_range),
    ]
    for number, series in enumerate(chart.series):
        parts += _line(series, number, x_range, y_range)
    return "\n".join([*parts, "</svg>"]) + "\n"


def path(steps: Sequence[float], values: Sequence[float], x_range: Range, y_range: Range) -> str:
    """The ``d`` of a path within the box; a value that is not finite ends a part of it and draws nothing."""
    words, pen = [], "M"
    for step, value in zip(steps, values, strict=True):
        if math.isfinite(value):
            words.append(f"{pen}{_x(step, x_range):.1f} {_y(value, y_range):.1f}")
            pen = "L"
        else:
            pen = "M"
    return "".join(words)


def _x(step: float, within: Range) -> float:
    return LEFT + (RIGHT - LEFT) * share(step, within)


def _y(value: float, within: Range) -> float:
    return BOTTOM - (BOTTOM - TOP) * share(value, within)


def _axes(x_range: Range, y_range: Range) -> list[str]:
    parts = []
    for value in ticks(*y_range, 6):
        y = _y(value, y_range)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.6g}</text>')
    for value in ticks(*x_range, 6):
        x = _x(value, x_range)
        parts.append(f'<line class="axis" x1="{x:.1f}" y1="{BOTTOM}" x2="{x:.1f}" y2="{BOTTOM + 4}"/>')
        anchor = "middle" if x < RIGHT - 20 else "end"
        label = f"{value:,.0f}" if value == round(value) else f"{value:.6g}"
        parts.append(f'<text x="{min(x, RIGHT):.1f}" y="{BOTTOM + 18}" text-anchor="{anchor}">{label}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" y1="{BOTTOM}" x2="{RIGHT}" y2="{BOTTOM}"/>')
    parts.append(f'<text x="{(LEFT + RIGHT) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">optimizer steps</text>')
    return parts


def _legend(all_series: Sequence[Series]) -> list[str]:
    parts, x = [], float(LEFT)
    for number, series in enumerate(all_series):
        style, dash = number % len(_LIGHT), _DASHES[number % len(_DASHES)]
        parts.append(
            f'<line class="s{style}" x1="{x:.0f}" y1="40" x2="{x + 20:.0f}" y2="40" '
            f'stroke-width="2" stroke-dasharray="{dash}"/>'
        )
        if series.marked:
            parts.append(f'<circle class="d{style}" cx="{x + 10:.0f}" cy="40" r="3"/>')
        parts.append(f'<text x="{x + 26:.0f}" y="44">{html.escape(series.name)}</text>')
        x += 44 + _CHARACTER * len(series.name)
    return parts


def _line(series: Series, number: int, x_range: Range, y_range: Range) -> list[str]:
    style, dash = number % len(_LIGHT), _DASHES[number % len(_DASHES)]
    drawn = path(series.steps, series.values, x_range, y_range)
    width = 2 if series.marked else 1.4
    parts = [f'<path class="s{style}" d="{drawn}" stroke-width="{width}" stroke-dasharray="{dash}"/>']
    for step, value in zip(series.steps, series.values, strict=True) if series.marked else ():
        if math.isfinite(value):
            parts.append(f'<circle class="d{style}" cx="{_x(step, x_range):.1f}" cy="{_y(value, y_range):.1f}" r="3"/>')
    return parts


def _told(series: Series) -> str:
    """A line in words, for who does not see it."""
    seen = [(step, value) for step, value in zip(series.steps, series.values, strict=True) if math.isfinite(value)]
    if not seen:
        return f"{series.name}: nothing"
    (first, begin), (last, end) = seen[0], seen[-1]
    least = min(value for _, value in seen)
    if len(seen) == 1:
        return f"{series.name}: {begin:.4g} at step {first:,}"
    return f"{series.name}: {begin:.4g} at step {first:,}, {end:.4g} at step {last:,}, at least {least:.4g}"
