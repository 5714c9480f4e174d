"""Which flags are given, and what is refused before anything runs."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanochat_np.command_line import main
from nanochat_np.command_line.guard import shown
from tests.command_line.toy import Toy

ConfigOf = Callable[..., Any]
ErrorOf = Callable[..., str]
SEE = "See: python -m nanochat_np toy --help"

# What an operating system can hand over: any text without NUL and without lone surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
literals = st.sampled_from(
    ["1e3", "None", "null", "True", "[1]", "'q'", '"q"', "{}", "(1,)", "0x10", "1_000", "-1", "a,b"]
)
dashes = st.sampled_from(
    ["", "-", "--", "---", "-x", "--hello there", "- hello", "a=b", "=", "-=", "x\ny", "\t", "𝔘 ✓"]
)
awkward = literals | dashes


@settings(max_examples=60, deadline=None)
@given(prompt=texts | awkward)
def test_a_text_arrives_intact_after_the_equals_sign(prompt: str) -> None:
    toy = Toy()
    assert main(toy.commands, ["toy", f"--prompt={prompt}", f"--out={prompt}"]) == 0
    (config, given_flags) = toy.calls[0]
    assert (config.prompt, config.out) == (prompt, prompt)
    assert given_flags == {"prompt", "out"}


@settings(max_examples=60, deadline=None)
@given(prompt=(texts | awkward | st.builds("--{}".format, texts)).filter(lambda text: text not in ("-h", "--help")))
def test_a_text_arrives_intact_as_the_next_argument_unless_it_looks_like_a_flag(prompt: str) -> None:
    toy = Toy()
    code = main(toy.commands, ["toy", "--prompt", prompt, "--steps=3"])
    looks_like_a_flag = prompt[:2] == "--" and prompt[2:3].isalpha() and prompt[2:3].isascii() and " " not in prompt
    if code:
        assert looks_like_a_flag
    else:
        assert (toy.calls[0][0].prompt, toy.calls[0][0].steps) == (prompt, 3)


@pytest.mark.parametrize("prompt", ["-", "--", "- hello", "-x", "", "one\ntwo", "--hello there", "-1"])
def test_texts_that_mean_something_to_fire_or_to_a_shell_arrive(config_of: ConfigOf, prompt: str) -> None:
    assert config_of("--prompt", prompt).prompt == prompt
    assert config_of("--prompt", prompt, "--steps", "3").steps == 3


@pytest.mark.parametrize("name", ["--max-new-tokens", "--max_new_tokens", "--max-new_tokens"])
def test_hyphen_and_underscore_are_the_same(config_of: ConfigOf, name: str) -> None:
    assert config_of(name, "7").max_new_tokens == config_of(f"{name}=7").max_new_tokens == 7


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["--quiet"], True),
        (["--quiet", "--steps", "3"], True),
        *(([f"--quiet={word}"], True) for word in ("true", "True", "1", "yes", "YES")),
        *(([f"--quiet={word}"], False) for word in ("false", "False", "0", "no")),
        (["--quiet", "true"], True),
        (["--quiet", "false"], False),
        (["--noquiet"], False),
        (["--no-quiet"], False),
        (["--no_quiet"], False),
    ],
)
def test_switches(config_of: ConfigOf, arguments: list[str], value: bool) -> None:
    assert config_of(*arguments).quiet is value


def test_a_switch_leaves_the_positional_argument_alone(config_of: ConfigOf) -> None:
    config = config_of("--quiet", "rope", "--no-rounded")
    assert (config.quiet, config.what, config.rounded) == (True, "rope", False)


def test_the_command_learns_which_flags_were_given(toy: Toy) -> None:
    main(toy.commands, ["toy", "rope", "--steps", "10", "--no-quiet"])
    assert toy.calls[0][1] == {"what", "steps", "quiet"}  # given, though 10 is the default


def test_no_flag_gives_the_defaults(toy: Toy) -> None:
    main(toy.commands, ["toy"])
    config, given_flags = toy.calls[0]
    assert config == type(config)()
    assert given_flags == frozenset()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["toy", "--stpes", "3"], f"unknown flag --stpes of toy; did you mean --steps? {SEE}"),
        (["toy", "--max-new-token=3"], f"unknown flag --max-new-token of toy; did you mean --max-new-tokens? {SEE}"),
        (["toy", "-steps", "3"], f"unknown flag -steps of toy; did you mean --steps? {SEE}"),
        (["toy", "--zzzz"], f"unknown flag --zzzz of toy. {SEE}"),
        (["toy", "--no-steps"], f"unknown flag --no-steps of toy; did you mean --steps? {SEE}"),
        (["toy", "--version"], f"unknown flag --version of toy. {SEE}"),
        (["toy", "--mode", "slow", "--stpes=abc", "--steps=x"], "unknown flag --stpes of toy; did you mean --steps?"),
        (["tyo"], "unknown command tyo; did you mean toy? See: python -m nanochat_np --help"),
        (["xyzzy", "--steps", "3"], "unknown command xyzzy. See: python -m nanochat_np --help"),
        (["--steps", "3", "toy"], "--steps stands before the command: write python -m nanochat_np COMMAND --steps"),
        (["other", "thing"], "unexpected argument thing of other, flags begin with --."),
        (["toy", "rope", "ball"], "unexpected argument ball of toy, flags begin with --."),
        (["other", ""], "unexpected argument '' of other"),
        (["other", "-"], "unexpected argument - of other"),
        (["other", "--", "--steps"], "unexpected argument -- of other"),
        (["toy", "--steps", "3", "--steps=3"], f"--steps is given twice. {SEE}"),
        (["toy", "--max-new-tokens=3", "--max_new_tokens=4"], "--max-new-tokens is given twice."),
        (["toy", "--quiet", "--no-quiet"], "--quiet is given twice."),
        (["toy", "rope", "--what=ball"], "--what is given twice."),
        (["toy", "--steps"], f"--steps needs a value. {SEE}"),
        (["toy", "--prompt", "--steps", "3"], "--prompt needs a value (if --steps is it: --prompt=--steps)"),
        (["toy", "--prompt", "--steps=3"], "--prompt needs a value (if --steps=3 is it: --prompt=--steps=3)"),
        (["toy", "--no-quiet=true"], f"--no-quiet takes no value. {SEE}"),
        (["toy", "--prompt=\udcff"], "--prompt '\\udcff': not valid UTF-8"),
        (["toy", "--\x1b[31mred"], "unknown flag '--\\x1b[31mred' of toy."),
    ],
)
def test_what_is_refused_names_the_thing_and_the_way_out(error_of: ErrorOf, arguments: list[str], message: str) -> None:
    assert error_of(*arguments).startswith(message)


@settings(max_examples=60, deadline=None)
@given(texts)
def test_a_value_in_a_message_is_short_and_printable(text: str) -> None:
    assert shown(text).isprintable()
    assert 0 < len(shown(text * 100)) < 700
