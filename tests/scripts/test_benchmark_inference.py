"""The comparison of inference: what each side is asked, and the ratios."""

import json
import sys
from types import SimpleNamespace

import benchmark_inference as script
import pytest
from karpathy import prepare


@pytest.fixture
def sides(monkeypatch, tmp_path):
    """Processes that answer at once: ours twice as fast, int8 four times; the commands that were given."""
    commands = []

    def run(command, **named):
        commands.append((command, named["env"], named["cwd"]))
        ours = "nanochat_np" in command
        factor = 4 if "--quantize=int8" in command else 2 if ours else 1
        # The last of three is an outlier, which a median passes over.
        slow = 10 if len(commands) > 10 else 1
        found = {"prefill_ms": 100 / factor * slow, "tokens_per_sec": {"1": 50.0 * factor / slow, "16": 160.0 * factor}}
        return SimpleNamespace(returncode=0, stdout=f"noise\n{json.dumps(found)}\n", stderr="")

    monkeypatch.setattr(script.subprocess, "run", run)
    monkeypatch.setattr(prepare, "verified", lambda checkout, ref: ref)
    given = [
        "--upstream-dir",
        str(tmp_path / "nanochat"),
        "--upstream-python",
        "python",
        "--out",
        str(tmp_path / "out"),
    ]
    return given, commands, tmp_path


def test_sides_in_turn_and_ratios_of_medians(sides):
    given, commands, folder = sides
    assert script.main([*given, "--prompt-tokens=100", "--temperature=1", "--top-k=50"]) == 0
    assert len(commands) == 15
    kinds = [command[command.index("infer") - 2] if "infer" in command else "upstream" for command, *_ in commands]
    assert kinds == (["nanochat_np"] * 3 + ["upstream"] * 2) * 3
    for command, environment, _ in commands:
        assert {"--prompt-tokens=100", "--top-k=50", "--n-layer=6", "--vocab-size=32768"} <= set(command)
        assert "OPENBLAS_CORETYPE" not in environment
    assert [env["NANOCHAT_DTYPE"] for _, env, _ in commands if "NANOCHAT_DTYPE" in env] == ["float32", "bfloat16"] * 3
    readme = (folder / "out" / "README.md").read_text()
    assert "| int8 weights | 25.0 ms (4.00) | 200 (4.00) | 640 (4.00) |" in readme
    assert "| upstream float32 | 100.0 ms (1.00) | 50 (1.00) | 160 (1.00) |" in readme
    assert json.loads((folder / "out" / "summary.json").read_text())["medians"]["b"]["float32"]["prefill_ms"] == 50


def test_a_side_that_fails_is_named(sides, monkeypatch, capsys):
    given, *_ = sides
    ended = SimpleNamespace(returncode=1, stdout="", stderr="Traceback\nKeyError: x\n")
    monkeypatch.setattr(script.subprocess, "run", lambda *args, **named: ended)
    assert script.main(given) == 3
    assert f"error: {sys.executable} ended with 1: KeyError: x" in capsys.readouterr().err


def test_a_folder_that_is_taken_is_refused_before_anything_runs(sides):
    given, commands, folder = sides
    (folder / "out").mkdir()
    (folder / "out" / "summary.json").write_text("{}")
    assert script.main(given) == 1
    assert not commands
