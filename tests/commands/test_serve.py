"""``serve`` before it serves: what it refuses, in a line."""

import importlib.util
import socket

import pytest

from nanochat_np.commands import serve as command
from nanochat_np.serve import server
from tests.serve.process import save_model


@pytest.fixture
def run(lab, tmp_path, monkeypatch):
    """A run of a GPT, and a server that does not."""
    calls = []
    monkeypatch.setattr(server, "serve", lambda loader, listener, workers, ready: calls.append((loader, workers)))
    save_model(tmp_path / "results" / "run", 32)
    return calls


def test_the_settings_reach_the_server(lab, run, monkeypatch):
    monkeypatch.setenv("NANOCHAT_NP_API_KEY", "from the environment")
    origins = "https://a.example,https://b.example"
    monkeypatch.setattr(command, "require_products", lambda dtype, gpu: None)  # not every CPU has them
    flags = ["--slots=3", f"--cors-origin={origins}", "--dtype=bf16", "--quantize=int8"]
    result = lab("serve", "--port=0", "--json", *flags)
    assert result.code == 0, result
    assert result.summary["model"] == "nanochat-d2"
    assert result.summary["url"].startswith("http://127.0.0.1:")
    ((loader, workers),) = run
    assert (loader.slots, loader.device, loader.precision, loader.quantize, workers) == (
        3,
        "cpu",
        "bfloat16",
        "int8",
        1,
    )
    assert loader.settings.cors_origins == ("https://a.example", "https://b.example")
    assert loader.settings.api_key == "from the environment"
    assert len(loader.settings.weights) == 64


def test_a_port_that_is_taken(lab, run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = lab("serve", f"--port={port}")
    assert result.code == 1
    assert result.err == (
        f"error: --host 127.0.0.1 --port {port}: Address already in use: choose another, or --port 0 for any that is "
        "free\n"
    )


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--port=99999"], 1, "--port"),
        (["--slots=0"], 1, "--slots"),
        (["--timeout=0"], 1, "--timeout"),
        (["--host=no.such.host.invalid"], 1, "--host no.such.host.invalid"),
        (["--checkpoint=nowhere"], 4, "nowhere"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(lab, run, flags, code, words):
    result = lab("serve", *flags)
    assert result.code == code
    assert words in result.err
    assert result.err.count("\n") == 1
    assert not run


def test_a_character_model_is_refused(lab):
    lab.trained("--model-kind=bigram", "--steps=1", "--out=results/run")
    result = lab("serve", "--port=0")
    assert (result.code, result.err.count("\n")) == (4, 1)
    assert "character lab" in result.err


def test_an_extra_that_is_missing(lab, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name))
    result = lab("serve")
    assert result.code == 1
    assert "pip install 'nanochat-np[serve]'" in result.err
