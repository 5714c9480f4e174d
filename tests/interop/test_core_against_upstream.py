"""CORE's items are right here where karpathy/nanochat's own code says so."""

import json
import random

import pytest

from nanochat_np.backend.device import Device
from nanochat_np.evaluate.core import core_metric
from nanochat_np.evaluate.core_bundle import read_bundle
from nanochat_np.evaluate.predictor import Predictor
from nanochat_np.interop import upstream
from nanochat_np.interop.upstream_tokenizer import write_upstream_tokenizer
from tests.interop.models import CURRENT, TOKENIZER, model
from tests.interop.test_against_torch import nanochat, torch

__all__ = ["nanochat", "torch"]
pytestmark = [pytest.mark.interop, pytest.mark.filterwarnings("default")]
WORDS = ["the", " the", "ab", "cab", "bath", "that", "Thé", "  ", "\n\n", "a."]
TYPES = {"multiple_choice": "\nA: ", "schema": " ", "language_modeling": "\n"}


def text(rng, most=6):
    return "x" + " ".join(rng.choices(WORDS, k=rng.randint(1, most)))


def row(rng, kind):
    options, gold = [text(rng) for _ in range(rng.randint(2, 4))], 0
    match kind:
        case "multiple_choice":
            return {"query": text(rng), "choices": options, "gold": gold}
        case "schema":
            return {"context_options": options, "continuation": text(rng), "gold": gold}
    return {"context": f" {text(rng)} ", "continuation": rng.choice("abctx")}


@pytest.fixture
def folder(tmp_path):
    """Three tasks of each type, with few and many examples."""
    rng, entries = random.Random(0), []
    for kind, delimiter in TYPES.items():
        for shots in (0, 2, 9):
            label = f"{kind}_{shots}"
            rows = [row(rng, kind) for _ in range(12)]
            (tmp_path / f"{label}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
            entry = {"label": label, "dataset_uri": f"{label}.jsonl", "icl_task_type": kind, "num_fewshot": [shots]}
            entries.append(entry | {"continuation_delimiter": delimiter})
    (tmp_path / "core.yaml").write_text(json.dumps({"icl_tasks": entries}))
    names = "".join(f"{entry['label']},10\n" for entry in entries)
    (tmp_path / "eval_meta_data.csv").write_text(f"Eval Task,Random baseline\n{names}")
    return tmp_path


def test_every_item_is_right_where_upstream_says_so(nanochat, torch, folder):
    pytest.importorskip("yaml")
    core_eval = pytest.importorskip("nanochat.core_eval")
    ours = model(CURRENT)
    upstream.write(nanochat["base"] / "base_checkpoints" / "d2", ours)
    write_upstream_tokenizer(nanochat["base"] / "tokenizer", TOKENIZER)
    theirs, tokenizer, _ = nanochat["manager"].load_model("base", torch.device("cpu"), phase="eval")
    expected = []
    for entry in json.loads((folder / "core.yaml").read_text())["icl_tasks"]:
        data = [json.loads(line) for line in (folder / entry["dataset_uri"]).read_text().splitlines()]
        random.Random(1337).shuffle(data)
        meta = {
            "task_type": entry["icl_task_type"],
            "num_fewshot": entry["num_fewshot"][0],
            "continuation_delimiter": entry["continuation_delimiter"],
        }
        for number in range(10):
            right = core_eval.evaluate_example(number, theirs, tokenizer, data[:10], torch.device("cpu"), meta)
            expected.append((entry["label"], number, bool(right)))
    found = []
    predictor = Predictor(CURRENT, ours.weights, Device())
    core_metric(
        predictor, TOKENIZER, read_bundle(folder, 10), lambda item: found.append((item.group, item.number, item.right))
    )
    assert found == expected
    for kind in ("multiple_choice", "schema"):  # words, a model that has learnt nothing does not guess
        rights = [right for label, _, right in expected if label.startswith(kind)]
        assert 0 < sum(rights) < len(rights)
