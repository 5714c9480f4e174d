"""Types and ranges of values, and what is said of a wrong one."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanochat_np.command_line import main
from tests.command_line.toy import Toy

ConfigOf = Callable[..., Any]
ErrorOf = Callable[..., str]


@pytest.mark.parametrize(
    ("argument", "field", "value"),
    [
        ("--steps=1_000", "steps", 1000),
        ("--steps=+5", "steps", 5),
        ("--steps=0", "steps", 0),
        ("--steps=9223372036854775807", "steps", 2**63 - 1),
        ("--ratio=.5", "ratio", 0.5),
        ("--ratio=1", "ratio", 1.0),
        ("--ratio=1e-3", "ratio", 0.001),
        ("--temperature=-1", "temperature", -1.0),
        ("--temperature=inf", "temperature", math.inf),
        ("--n-layer=3", "n_layer", 3),
        ("--seeds=7", "seeds", (7,)),
        ("--seeds=7,8, 9", "seeds", (7, 8, 9)),
        ("--mode=slow", "mode", "slow"),
        ("--kind=b", "kind", "b"),
        ("--prompt=1e3", "prompt", "1e3"),
        ("--out=None", "out", "None"),
        ("--out=null", "out", "null"),
        ("--device=cuda", "device", "cuda"),
    ],
)
def test_values(config_of: ConfigOf, argument: str, field: str, value: object) -> None:
    found = getattr(config_of(argument), field)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("arguments", [["--temperature", "-1"], ["--temperature=-1"], ["--temperature", "-1e0"]])
def test_a_negative_number_reaches_a_command_that_has_its_own_error_for_it(
    config_of: ConfigOf, arguments: list[str]
) -> None:
    assert config_of(*arguments).temperature == -1


def test_nan_reaches_a_command_that_has_its_own_error_for_it(config_of: ConfigOf) -> None:
    assert math.isnan(config_of("--temperature", "nan").temperature)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**63 - 1), st.floats(allow_nan=False))
def test_numbers_round_trip(steps: int, temperature: float) -> None:
    toy = Toy()
    assert main(toy.commands, ["toy", "--steps", str(steps), "--temperature", repr(temperature)]) == 0
    assert (toy.calls[0][0].steps, toy.calls[0][0].temperature) == (steps, temperature)


WHOLE = "expected a whole number, at least 0"
RATIO = "expected a number, above 0 and at most 1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *((["--steps", text], f"--steps {text}: {WHOLE}") for text in ("abc", "1.5", "1e3", "-1", "0x10", "1__0", "٣")),
        (["--steps="], f"--steps '': {WHOLE}"),
        (["--steps", "1" * 80], f"--steps {'1' * 57}...: {WHOLE}, below 2**63"),
        (["--steps", "1" * 9999], f"--steps {'1' * 57}...: {WHOLE}"),
        *(
            (["--ratio", text], f"--ratio {text}: {RATIO}")
            for text in ("0", "1.01", "-1", "nan", "inf", "-inf", "1e999")
        ),
        (["--steps", "5 "], f"--steps '5 ': {WHOLE}"),
        (["--steps", str(2**63)], f"--steps {2**63}: {WHOLE}, below 2**63"),
        (["--scale", "inf"], "--scale inf: expected a number, at least 0"),
        (["--scale", "nan"], "--scale nan: expected a number, at least 0"),
        (["--temperature", "hot"], "--temperature hot: expected a number"),
        (["--n-layer", "0"], "--n-layer 0: expected a whole number, at least 1"),
        (["--n-layer", "null"], "--n-layer null: expected a whole number, at least 1"),
        (["--mode", "slwo"], "--mode slwo: expected fast or slow; did you mean slow?"),
        (["--mode=zzz"], "--mode zzz: expected fast or slow"),
        (["--kind=null"], "--kind null: expected a or b"),
        (["--device", "gpu"], "--device gpu: expected cpu or cuda"),
        (["--quiet=maybe"], "--quiet maybe: expected true or false"),
        (["--seeds", "1,x"], "--seeds 1,x: expected whole numbers separated by commas, each at least 0"),
        (["--seeds", "1,-1"], "--seeds 1,-1: expected whole numbers separated by commas, each at least 0"),
        (["--seeds="], "--seeds '': expected whole numbers separated by commas, each at least 0"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(error_of: ErrorOf, arguments: list[str], message: str) -> None:
    assert error_of("toy", *arguments) == message
