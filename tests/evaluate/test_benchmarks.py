"""ChatCORE, and what benchmarks to run."""

import pytest

from nanochat_np.commands.eval import chosen
from nanochat_np.errors import ConfigError
from nanochat_np.evaluate.benchmarks import METRICS, OF_CHATCORE, chatcore
from nanochat_np.evaluate.result import Result
from nanochat_np.evaluate.tasks import GENERATED_TASKS


def results(**changes):
    scores = {"arc-easy": 0.625, "arc-challenge": 0.25, "mmlu": 0.25, "gsm8k": 0.5, "humaneval": 0.0}
    baselines = dict.fromkeys(("arc-easy", "arc-challenge", "mmlu"), 0.25)
    found = {
        name: Result(benchmark=name, metric="accuracy", score=score, baseline=baselines.get(name, 0.0))
        for name, score in scores.items()
    }
    return found | changes


def test_chatcore_is_the_mean_of_what_is_centered():
    found = chatcore(results())
    assert found.score == pytest.approx((0.5 + 0 + 0 + 0.5 + 0) / 5)
    assert found.details == pytest.approx(
        {"arc-easy": 0.5, "arc-challenge": 0, "mmlu": 0, "gsm8k": 0.5, "humaneval": 0}
    )


def test_chatcore_needs_all_of_them():
    failed = Result(benchmark="mmlu", metric="accuracy", failed="no file")
    with pytest.raises(ConfigError, match="and mmlu failed"):
        chatcore(results(mmlu=failed))


@pytest.mark.parametrize(
    ("asked", "run"),
    [
        (("all",), [name for name in METRICS if name not in GENERATED_TASKS]),
        (("generated", "bpb"), ["bpb", *GENERATED_TASKS]),
        (("bpb", "core"), ["core", "bpb"]),
        (("arc",), ["arc-easy", "arc-challenge"]),
        (("chatcore",), [*OF_CHATCORE, "chatcore"]),
        (("gsm8k", "gsm8k"), ["gsm8k"]),
    ],
)
def test_what_is_run(asked, run):
    assert chosen(asked) == run
