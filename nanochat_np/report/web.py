"""The Markdown of a report as one HTML file: nothing is loaded from elsewhere, and nothing runs."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

_STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --faint: #57606a; --line: #d0d7de; --back: #fff; --block: #f3f5f7 }
@media screen and (prefers-color-scheme: dark) {
  :root { --text: #e6e8eb; --faint: #9aa4af; --line: #3b434c; --back: #14171a; --block: #1e2328 }
}
body { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; background: var(--back); color: var(--text);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif }
h1, h2, h3 { line-height: 1.25; overflow-wrap: anywhere }
h2 { margin-top: 2.5rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line) }
p, li { overflow-wrap: anywhere }
table { display: block; overflow-x: auto; border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: left }
[style*="right"] { white-space: nowrap }
th { color: var(--faint); font-weight: 600 }
pre { padding: .7rem 1rem; background: var(--block); border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 13px/1.5 ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace }
svg { display: block; width: 100%; height: auto; margin: 1rem 0 }
@media print {
  body { max-width: none; padding: 0; font-size: 11px }
  table { display: table }
  svg, pre, tr { break-inside: avoid }
  h2, h3 { break-after: avoid }
}
"""


def page(markdown: str, title: str, charts: Mapping[str, str]) -> str:
    """``markdown`` with its images, by their file, replaced by the SVG of ``charts``."""
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")

    def image(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return charts[str(tokens[index].attrGet("src"))]

    renderer.add_render_rule("image", image)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{renderer.render(markdown)}</main>\n</body>\n</html>\n"
    )
