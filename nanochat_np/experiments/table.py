"""Tables for a terminal and for Markdown: the first column to the left, numbers to the right."""

from collections.abc import Sequence

Cells = Sequence[str]


def text_table(head: Cells, rows: Sequence[Cells]) -> str:
    """Columns as wide as their widest cell, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        first, *others = row
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown_table(head: Cells, rows: Sequence[Cells]) -> str:
    """The same as a Markdown table."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))
