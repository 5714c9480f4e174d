import pytest

from nanochat_np.data import corpus
from nanochat_np.data.corpus import load_corpus
from nanochat_np.data.stdlib_docs import stdlib_docs
from nanochat_np.errors import DataError

SOURCE = r'''
"""Shapes.

    With sides.
"""

class Square:
    r"""Four sides \d."""

    def area(self):
        """Side squared."""
        def inner():
            """Deep inside."""
        return "no docstring"

    def bare(self):
        return """no docstring"""

try:
    async def run():
        """Run."""
except ImportError:
    def run():
        """Walk."""
else:
    if True:
        def halt():
            """Halt."""
'''


def write(folder, **sources):
    for name, source in sources.items():
        path = folder / f"{name.replace('__', '/', 1) if '__init__' not in name else name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")


def test_docstrings_stand_under_the_names_of_what_they_describe(tmp_path):
    write(tmp_path, shapes=SOURCE)
    (document,) = stdlib_docs(tmp_path)
    assert document.split("\n\n\n")[0] == "shapes\n\nShapes.\n\nWith sides."
    assert [part.strip("\n") for part in document.split("\n\n\n")[1:]] == [
        "shapes.Square\n\nFour sides \\d.",
        "shapes.Square.area\n\nSide squared.",
        "shapes.Square.area.inner\n\nDeep inside.",
        "shapes.run\n\nRun.",
        "shapes.halt\n\nHalt.",
        "shapes.run\n\nWalk.",
    ]


def test_modules_come_in_order_and_what_is_no_library_is_left_out(tmp_path):
    doc = '"""Text."""'
    write(
        tmp_path,
        zoo=r'"""Old \d escape."""',
        abc=doc,
        json__tool=doc,
        json__decoder=doc,
        test__regrtest=doc,
        idlelib__run=doc,
    )
    write(tmp_path / "json", __init__=doc)
    (tmp_path / "site-packages").mkdir()
    write(tmp_path / "site-packages", numpy=doc)
    write(tmp_path, plain="x = 1", broken='"""Text."""\nprint "old"', codes='"""A\\0"""', halves='"""\\ud800"""')
    names = [document.split("\n")[0] for document in stdlib_docs(tmp_path)]
    assert names == ["abc", "json", "json.decoder", "json.tool", "zoo"]


def test_an_installation_without_sources_says_what_to_use_instead(tmp_path):
    with pytest.raises(DataError, match=rf"no sources .* in {tmp_path}: use --data stories"):
        stdlib_docs(tmp_path)


def test_the_corpus_begins_with_the_topics(monkeypatch):
    monkeypatch.setattr(corpus, "stdlib_docs", lambda: ("docs",))
    assert load_corpus("stdlib").documents == (*load_corpus("pydocs").documents, "docs")


@pytest.mark.slow
def test_this_python_has_enough_to_train_a_tokenizer_on():
    documents = stdlib_docs()
    assert sum(map(len, documents)) > 1_500_000
    assert documents == stdlib_docs()
    assert not any("\0" in document for document in documents)
    assert "argparse" in {document.split("\n")[0] for document in documents}
