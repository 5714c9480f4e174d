"""Figures and foreign text as a page says them."""

import re

from nanochat_np.report.record import Metric

NONE = "–"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def count(value: int | None) -> str:
    """1,234,567"""
    return NONE if value is None else f"{value:,}"


def power(value: float | None) -> str:
    """6.43e+13"""
    return NONE if value is None else f"{value:.2e}"


def time(seconds: float | None) -> str:
    """4.2 s, 8 min 42 s, 3 h 07 min"""
    if seconds is None:
        return NONE
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def rate(value: float | None) -> str:
    """5,490"""
    return NONE if value is None else f"{value:,.0f}"


def percent(share: float | None) -> str:
    """46.2 %"""
    return NONE if share is None else f"{100 * share:.1f} %"


def memory(mebibytes: float | None) -> str:
    """795 MiB"""
    return NONE if mebibytes is None else f"{mebibytes:,.0f} MiB"


def dollars(value: float | None) -> str:
    """$48.12, $0.0031"""
    if value is None:
        return NONE
    return f"${value:,.2f}" if value >= 1 else f"${value:.2g}"


def nats(value: float | None) -> str:
    """2.6904"""
    return NONE if value is None else f"{value:.4f}"


def score(metric: Metric, stage: str) -> str:
    """A value of a table, without what marks the best."""
    if stage in metric.failed:
        return "FAILED"
    value = metric.values.get(stage)
    if value is None:
        return NONE
    return f"{100 * value:.1f} %" if metric.unit == "share" else f"{value:.4f}"


def plain(text: str) -> str:
    """Text of others in a line of Markdown: what would be read as markup is not, and what moves a cursor is gone."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|&~^$])", r"\\\1", " ".join(_CONTROL.sub(" ", text).split()))


def block(text: str) -> str:
    """Text of others as a block that shows it as it is."""
    shown = _CONTROL.sub("\ufffd", text.replace("\r\n", "\n"))
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{fence}text\n{shown}\n{fence}"
