import os

import pytest

from nanochat_np.data.files import read_folder, read_path, read_text
from nanochat_np.errors import DataError


@pytest.fixture
def write(tmp_path):
    def write_bytes(name, data):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return write_bytes


def refusal(function, path):
    """The one line that ``path`` is refused with; it must name the path."""
    with pytest.raises(DataError) as caught:
        function(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("naïve 😀".encode(), "naïve 😀"),
        (b"one\r\ntwo\rthree\n", "one\r\ntwo\rthree\n"),
        (b"\xef\xbb\xbfmarked", "marked"),
        (b"a\xef\xbb\xbfb", "a\ufeffb"),
    ],
)
def test_text_is_kept_exactly_but_for_a_byte_order_mark(write, data, text):
    path = write("text", data)
    assert read_text(path) == text
    assert read_path(path) == (text,)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"abc\xffdef", "not UTF-8 at byte offset 3:"),
        ("é".encode() + b"\xe9", "not UTF-8 at byte offset 2:"),
        (b"\xef\xbb\xbfa\xc3", "not UTF-8 at byte offset 4:"),
        (b"ab\xed\xa0\x80", "not UTF-8 at byte offset 2:"),
        (b"ab\x00c\x00", "NUL at byte offset 2: looks like a binary file"),
        (b"\x89PNG\x00", "NUL at byte offset 4: looks like a binary file"),
    ],
)
def test_what_is_no_text_is_refused_with_its_byte_offset(write, data, named):
    assert named in refusal(read_text, write("data.txt", data))


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(write, data):
    assert "empty" in refusal(read_path, write("empty.txt", data))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refusal(read_path, tmp_path / "pipe")


def test_a_folder_gives_its_text_files_in_the_order_of_their_paths(write, tmp_path):
    for name in ("b.txt", "a/z.MD", "a/c.py", "a-b/x.rst", "B.txt"):
        write(name, name.encode())
    for left_out in ("empty.txt", "a/__init__.py"):
        write(left_out, b"")
    for left_out in ("image.png", "LICENSE", ".hidden.txt", ".git/notes.txt", "a/.venv/lib/x.py"):
        write(left_out, b"\xff")
    (tmp_path / "dangling.txt").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.txt")
    assert read_path(tmp_path) == ("B.txt", "a/c.py", "a/z.MD", "a-b/x.rst", "b.txt")


@pytest.mark.parametrize("name", [".hidden.txt", "image.png", "empty.txt"])
def test_a_folder_without_text_is_refused(write, name):
    folder = write(f"folder/{name}", b"").parent
    assert "ends in .txt, .md, .rst, .py" in refusal(read_folder, folder)


def test_a_bad_file_in_a_folder_is_named(write, tmp_path):
    write("good.txt", b"good")
    bad = write("sub/bad.txt", b"\xff")
    with pytest.raises(DataError, match=f"{bad}: not UTF-8 at byte offset 0"):
        read_folder(tmp_path)
