"""Flags from a TOML file are flags."""

from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta

from nanochat_np.command_line.config_file import with_file
from nanochat_np.command_line.convert import to_record
from nanochat_np.config import Common
from nanochat_np.errors import ConfigError


class Model(Common, frozen=True, kw_only=True):
    """Model."""

    depth: int = 4
    rate: float = 0.5
    wide_head: bool = False


class Places(Model, frozen=True, kw_only=True):
    """Run."""

    seeds: tuple[int, ...] = (1,)
    name: str = ""


class Toy(Places, frozen=True, kw_only=True):
    """A command."""

    config: Annotated[str | None, Meta(description="file")] = None


def read(tmp_path: Path, text: str, **flags: str) -> Common:
    path = tmp_path / "file.toml"
    path.write_text(text, encoding="utf-8")
    return to_record(Toy, with_file(Toy, {"config": str(path), **flags}))


def test_values_of_every_type(tmp_path):
    text = '[model]\ndepth = 7\nrate = 1e-3\nwide-head = true\n[run]\nseeds = [1, 2]\nname = "é = #"\n'
    found = read(tmp_path, text)
    assert (found.depth, found.rate, found.wide_head, found.seeds, found.name) == (7, 1e-3, True, (1, 2), "é = #")
    assert read(tmp_path, text, depth="8").depth == 8
    assert with_file(Toy, {"depth": "3"}) == {"depth": "3"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[model]\ndepth = 1.5", "--depth 1.5: expected a whole number"),
        ("[model]\ndepth = 1\nwide_head = 3", "--wide-head 3: expected true or false"),
        ("[model]\njson = true", "json: no such setting"),
        ("[run]\nconfig = 'x'", "config: no such setting"),
        ("[modell]\n", "[modell]: no such section; did you mean model? Sections are model, run"),
        ("depth = 3", "[depth]: no such section"),
        ("[model]\nseeds = [1]", "[model] seeds: belongs into [run]"),
        ("[model\n", "not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, words):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"--config {tmp_path / 'file.toml'}: ")
    assert words in str(caught.value)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "file.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not TOML"):
        with_file(Toy, {"config": str(tmp_path / "file.toml")})
