import hashlib
import os
import sys
from types import SimpleNamespace

import pytest

from nanochat_np.data import corpus as corpus_module
from nanochat_np.data.corpus import Corpus, load_corpus
from nanochat_np.data.stories import stories
from nanochat_np.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_pydocs_are_a_text_worth_learning_from():
    documents = load_corpus("pydocs").documents
    assert all(documents)
    assert sum(map(len, documents)) > 100_000


def test_pydocs_are_in_the_order_of_their_names(monkeypatch):
    topics = {"while": "loops", "assert": "checks", "lambda": "functions"}
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", SimpleNamespace(topics=topics))
    assert load_corpus("pydocs").documents == ("checks", "functions", "loops")


def test_a_python_without_topics_says_what_to_use_instead(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match="--data stories"):
        load_corpus("pydocs")


def test_stories_take_a_number_of_characters():
    assert load_corpus("stories:1234").documents == stories(1234)
    assert sum(map(len, load_corpus("stories").documents)) == 200_000


@pytest.mark.parametrize("count", ["", "0", "-5", "many", "1.5", "1e3", " 5", "1_0", "٣", "9" * 5000])
def test_a_number_of_characters_that_is_none_is_a_configuration_error(count):
    with pytest.raises(ConfigError, match=r"--data stories:.*from 1 to 999999999"):
        load_corpus(f"stories:{count}")


def test_shakespeare_is_one_document(monkeypatch):
    monkeypatch.setattr(corpus_module, "shakespeare", lambda: "First Citizen")
    assert load_corpus("shakespeare").documents == ("First Citizen",)


def test_a_path_is_a_corpus_and_a_builtin_wins_over_it(tmp_path):
    (tmp_path / "stories").write_text("mine")
    assert load_corpus("./stories") == Corpus("./stories", ("mine",))
    assert load_corpus("stories").documents != ("mine",)


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "book.txt").write_text("home")
    assert load_corpus("~/book.txt").documents == ("home",)


@pytest.mark.parametrize(
    ("spec", "near"),
    [("pydoc", "pydocs"), ("Shakespear", "shakespeare"), ("story:500", "stories"), ("PYDOCS", "pydocs")],
)
def test_a_name_nearly_right_is_corrected(spec, near):
    with pytest.raises(DataError, match=f"'{spec}'.*did you mean {near}\\?"):
        load_corpus(spec)


@pytest.mark.parametrize("spec", ["", "missing/novel.txt", "file.txt/below"])
def test_what_is_missing_is_named_and_the_builtins_listed(spec, tmp_path):
    (tmp_path / "file.txt").write_text("not a folder")
    with pytest.raises(DataError) as caught:
        load_corpus(spec)
    message = str(caught.value)
    assert repr(spec) in message
    assert "pydocs, stdlib, stories, shakespeare and stories:CHARACTERS" in message
    assert "did you mean" not in message
    assert "\n" not in message


def test_a_path_that_the_system_refuses_is_named(tmp_path):
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    with pytest.raises(DataError, match=r"^loop\.txt: cannot be read: "):
        load_corpus("loop.txt")


@pytest.mark.parametrize("locked", ["locked", "locked/inner", "locked/inner/book.txt"])
def test_missing_permission_is_named(tmp_path, locked):
    inner = tmp_path / "locked" / "inner"
    inner.mkdir(parents=True)
    (inner / "book.txt").write_text("secret")
    (tmp_path / locked).chmod(0)
    try:
        if os.access(locked, os.R_OK):
            pytest.skip("the superuser may read everything")
        with pytest.raises(DataError, match=f"{locked}: cannot be read: Permission denied"):
            load_corpus("locked")
    finally:
        (tmp_path / locked).chmod(0o700)


def test_the_digest_of_one_document_is_that_of_its_file(tmp_path):
    data = "naïve\r\n".encode()
    (tmp_path / "book.txt").write_bytes(data)
    assert load_corpus("book.txt").sha256 == hashlib.sha256(data).hexdigest()


def test_the_digest_tells_documents_apart():
    splits = [("abc",), ("ab", "c"), ("a", "bc"), ("a", "b", "c"), ("abcd",), ("c", "ab")]
    assert len({Corpus("same", split).sha256 for split in splits}) == len(splits)
    assert Corpus("one name", ("a",)).sha256 == Corpus("another", ("a",)).sha256
