"""Every Python block of the documentation runs, so that a wrong equation on a page is a failing test.

The blocks of a page share one namespace and run in order.  A block in doctest form (``>>>``) must print what it says.
``<!-- skip: REASON -->`` on the line above a block leaves it out.
"""

import contextlib
import doctest
import re
import textwrap
import traceback
from pathlib import Path
from typing import NamedTuple

import pytest

from nanochat_np.kernels import reference_only

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("README.md"), *sorted(ROOT.glob("docs/*.md"))]

FENCE = re.compile(r" *(`{3,}|~{3,}) *([^\s`]*)[^`]*$")
SKIP = re.compile(r" *<!-- *skip\b:? *(.*?) *-->$")
MISSPELT = {"py", "py3", "python3", "pycon", "doctest", "numpy"}


class Block(NamedTuple):
    line: int  # of its first line in the page, from 1
    source: str


def python_blocks(page: Path) -> list[Block]:
    """The blocks of a page that are to run.  Raises ValueError, with file and line, for what would be lost silently."""
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    above, number = "", 0
    while number < len(lines):
        line, number = lines[number], number + 1
        if opened := FENCE.match(line):
            fence, language = opened.groups()
            start = number
            while number < len(lines) and not re.fullmatch(rf" *{fence[0]}{{{len(fence)},}} *", lines[number]):
                number += 1
            if number == len(lines):
                raise ValueError(f"{page}:{start}: this block has no end")
            if language != "python" and (language.lower() == "python" or language.lower() in MISSPELT):
                raise ValueError(f"{page}:{start}: write ```python, not ```{language}, or the block does not run")
            skip = SKIP.match(above)
            if skip and not skip[1]:
                raise ValueError(f"{page}:{start - 1}: give a reason: <!-- skip: REASON -->")
            if language == "python" and not skip:
                found.append(Block(start + 1, textwrap.dedent("\n".join(lines[start:number]) + "\n")))
            number += 1
        above = line
    return found


def run(page: Path) -> None:
    """Run the blocks of a page.  What fails has the page's own file and line in its traceback or message."""
    namespace = {"__name__": page.stem}
    for block in python_blocks(page):
        if block.source.lstrip().startswith(">>>"):
            run_doctest(page, block, namespace)
        else:
            exec(compile("\n" * (block.line - 1) + block.source, str(page), "exec"), namespace)


def run_doctest(page: Path, block: Block, namespace: dict[str, object]) -> None:
    test = doctest.DocTestParser().get_doctest(block.source, {}, page.name, str(page), block.line)
    test.globs = namespace
    try:
        doctest.DebugRunner().run(test, clear_globs=False)
    except doctest.DocTestFailure as failure:
        where = f"{page}:{block.line + failure.example.lineno}"
        raise AssertionError(f"{where}: printed {failure.got!r}, not {failure.example.want!r}") from None
    except doctest.UnexpectedException as failure:
        failure.exc_info[1].add_note(f"{page}:{block.line + failure.example.lineno}")
        raise failure.exc_info[1] from None


@pytest.mark.parametrize("kernels", ["fused", pytest.param("reference", marks=pytest.mark.slow)])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run(page, kernels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with reference_only() if kernels == "reference" else contextlib.nullcontext():
        try:
            run(page)
        except Exception:
            pytest.fail(traceback.format_exc(), pytrace=False)  # pytest's own would print the page down to the line


def test_the_index_names_every_page_and_links_lead_somewhere():
    assert {"README.md", "attention.md"} <= {page.name for page in ROOT.glob("docs/*.md")}
    links = {
        page: set(re.findall(r"\]\(([^)#:\s]+)[^):\s]*\)", page.read_text(encoding="utf-8")))
        for page in ROOT.glob("docs/*.md")
    }
    assert {page.name for page in links} <= links[ROOT / "docs" / "README.md"] | {"README.md"}
    assert not [
        (page.name, link) for page, found in links.items() for link in found if not (page.parent / link).exists()
    ]


PAGE = """# Title

```python
x = 1
```

```text
not Python
```

<!-- skip: needs a GPU -->
```python
raise RuntimeError
```

1. In a list:

   ```python
   x += 1
   assert x == 2
   ```

```python
>>> x
2
```

"""


def page_of(folder, text):
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return page


def test_blocks_share_a_namespace_and_a_skipped_one_does_not_run(tmp_path):
    page = page_of(tmp_path, PAGE)
    assert [block.line for block in python_blocks(page)] == [4, 19, 24]
    run(page)


def test_what_fails_is_named_by_file_and_line(tmp_path):
    page = page_of(tmp_path, PAGE + "```python\ny = 3\nassert x == y\n```\n")
    with pytest.raises(AssertionError) as caught:
        run(page)
    frame = traceback.extract_tb(caught.tb)[-1]
    assert (frame.filename, frame.lineno, frame.line) == (str(page), 30, "assert x == y")


@pytest.mark.parametrize(("example", "error"), [(">>> x + 1\n4", AssertionError), (">>> x / 0", ZeroDivisionError)])
def test_a_doctest_that_fails_is_named_by_file_and_line(tmp_path, example, error):
    page = page_of(tmp_path, f"{PAGE}```python\n>>> y = 3\n{example}\n```\n")
    with pytest.raises(error) as caught:
        run(page)
    assert f"{page}:30" in "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("<!-- skip -->\n```python\n1 / 0\n```\n", 1),
        ("<!-- skip: -->\n```python\n1 / 0\n```\n", 1),
        ("text\n\n```Python\n1 / 0\n```\n", 3),
        ("```py\n1 / 0\n```\n", 1),
        ("```python\n1 / 0\n", 1),
    ],
)
def test_no_block_is_lost_in_silence(tmp_path, text, line):
    page = page_of(tmp_path, text)
    with pytest.raises(ValueError, match=re.escape(f"{page}:{line}: ")):
        run(page)
