"""The whole pipeline as a user runs it, in small: every stage learns, and a client talks to the result."""

import json
import subprocess
import sys

import httpx
import pytest

from tests.serve.process import serving

pytestmark = pytest.mark.slow
TEXT = "stories:300000"
RATES = ("--total-batch-size=2048", "--rate-scale=12", "--warmup-steps=5", "--warmdown-ratio=0.5")
QUICK = ("--quiet", "--json", "--device=cpu", "--sample-tokens=0", "--save-every=0", "--seed=1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pipeline")


@pytest.fixture(scope="module")
def program(folder):
    """Runs a command in ``folder`` and gives its summary."""

    def run(*arguments):
        command = [sys.executable, "-m", "nanochat_np", *arguments]
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    return run


@pytest.fixture(scope="module")
def runs(program):
    """The summary of every stage, each of which begins with the one before."""
    short = ("--max-seq-len=64", "--device-batch-size=16")
    of_sft = ("--data=identity,arithmetic", f"--docs={TEXT}", "--eval-tokens=8192", "--eval-every=1000")
    found = {"tokenizer": program("tokenizer", "train", f"--data={TEXT}", "--vocab-size=400", "--out=tok", "--json")}
    found["pretrain"] = program(
        *("pretrain", "--depth=2", f"--data={TEXT}", "--tokenizer=tok", "--out=base", "--num-iterations=80", *short),
        *("--eval-every=80", "--eval-tokens=8192", *RATES, *QUICK),
    )
    midtrain = ("midtrain", "--base=base", "--out=mid", "--loss-on=assistant", "--num-iterations=250")
    found["midtrain"] = program(*midtrain, "--warmdown-ratio=0", *of_sft, *QUICK)
    found["sft"] = program("sft", "--base=mid", "--out=chat", "--num-iterations=150", *of_sft, *QUICK)
    rl = ("rl", "--base=chat", "--out=rl", "--data=arithmetic", "--num-iterations=4", "--examples-per-step=4")
    limits = ("--num-samples=4", "--max-new-tokens=24", "--eval-examples=16", "--eval-every=4")
    found["rl"] = program(*rl, *limits, *QUICK)
    return found


def test_every_stage_learns(runs, folder, program):
    def evaluations(run):
        lines = (folder / run / "metrics.jsonl").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == "eval"]

    start, end = evaluations("base")[0], evaluations("base")[-1]
    assert end["val_loss"] < 0.6 * start["val_loss"]
    assert runs["midtrain"]["val_loss"] < 0.5 * evaluations("mid")[0]["val_loss"]
    assert runs["sft"]["val_loss"] < 0.7 * runs["midtrain"]["val_loss"]
    compared = program(
        *("eval", "--checkpoint=base,chat,rl", "--benchmarks=identity,arithmetic,bpb", f"--data={TEXT}"),
        *("--max-problems=40", "--batch-size=16", "--out=eval", "--json", "--quiet", "--device=cpu"),
    )
    scores = {model["source"]: model["results"] for model in compared["models"].values()}
    for name in ("identity", "arithmetic"):
        assert scores["base"][name]["score"] == 0
    assert scores["chat"]["identity"]["score"] > 0.5
    assert scores["chat"]["arithmetic"]["score"] > 0.2
    assert scores["rl"]["arithmetic"]["score"] > 0.5 * scores["chat"]["arithmetic"]["score"]
    assert scores["chat"]["bpb"]["score"] < 1.3 * scores["base"]["bpb"]["score"]


def test_a_client_talks_to_the_result(runs, folder):
    with serving(folder / "chat") as server, httpx.Client(base_url=server.url, timeout=60) as client:
        (model,) = client.get("/v1/models").json()["data"]
        asked = {"model": model["id"], "temperature": 0, "messages": [{"role": "user", "content": "Who are you?"}]}
        answer = client.post("/v1/chat/completions", json=asked).json()["choices"][0]
        assert answer["finish_reason"] == "stop"
        assert "nanochat_np" in answer["message"]["content"]
        with client.stream("POST", "/v1/chat/completions", json=asked | {"stream": True}) as stream:
            lines = [line.removeprefix("data: ") for line in stream.iter_lines() if line]
        assert lines.pop() == "[DONE]"
        deltas = [json.loads(line)["choices"][0]["delta"] for line in lines]
        assert "".join(delta.get("content") or "" for delta in deltas) == answer["message"]["content"]
