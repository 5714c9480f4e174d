"""The docstrings of the standard library, read from its sources without running any of them."""

import ast
import os
import sysconfig
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from nanochat_np.errors import DataError

# What only some installations have, and what is no part of the library that one imports.
LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "turtledemo", "pydoc_data"}
_NAMED = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_BRANCHES = ("body", "orelse", "handlers", "finalbody")  # definitions stand in if and try as well


@cache
def stdlib_docs(folder: Path | None = None) -> tuple[str, ...]:
    """A document for each module with docstrings, sorted by path; each docstring under the name of what it describes.

    ``folder`` is the library of another Python than this one.  Raises DataError where there are no sources.
    """
    root = folder or Path(sysconfig.get_path("stdlib"))
    documents = ("\n\n".join(_docstrings(_parsed(root / path), _name(path))) for path in _sources(root))
    found = tuple(document for document in documents if document)
    if not found:
        raise DataError(f"stdlib: no sources of the standard library in {root}: use --data stories")
    return found


def _sources(root: Path) -> list[Path]:
    found = []
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        found += [Path(parent, name).relative_to(root) for name in names if name.endswith(".py")]
    return sorted(found, key=lambda path: path.parts)


def _parsed(path: Path) -> ast.Module:
    """The tree of a source; an empty one where it cannot have docstrings, or is not for this Python."""
    source = path.read_bytes()
    if b'"""' in source or b"'''" in source:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old escapes in strings
            try:
                return ast.parse(source)
            except (SyntaxError, ValueError):
                pass
    return ast.Module([], [])


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _docstrings(node: ast.AST, name: str) -> Iterator[str]:
    if isinstance(node, (ast.Module, *_NAMED)):
        text = ast.get_docstring(node)
        if text and _is_plain(text):
            yield f"{name}\n\n{text}\n"
    for branch in _BRANCHES:
        for child in getattr(node, branch, ()):
            if isinstance(child, _NAMED):
                yield from _docstrings(child, f"{name}.{child.name}")
            elif isinstance(child, ast.stmt | ast.ExceptHandler):
                yield from _docstrings(child, name)


def _is_plain(text: str) -> bool:
    """Whether a docstring is what a corpus may hold: no NUL and no half of a surrogate pair, which escapes can make."""
    return "\0" not in text and text.encode("utf-8", "ignore").decode() == text
