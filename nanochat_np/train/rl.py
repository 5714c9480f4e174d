"""The stage of reinforcement learning: problems are answered, right answers become likelier.

Source: karpathy/nanochat at 92d63d4, scripts/chat_rl.py: REINFORCE (Williams 1992) on answers of the present weights,
with the mean reward of a problem's answers as the baseline; no KL term, no clipping, no critic.
"""

import contextlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from nanochat_np.config import RlConfig
from nanochat_np.evaluate.bits import Validation
from nanochat_np.evaluate.pass_at import ks, pass_at
from nanochat_np.infer.answering import reply
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.infer.sampling import Sampling
from nanochat_np.tasks.batches import mixed_batches
from nanochat_np.tasks.problems import Problems
from nanochat_np.text import special
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.train.fine_tune import PROMPTS
from nanochat_np.train.gpt_stage import Batches, GPTStage, Schedule
from nanochat_np.train.gpt_trainer import GPTTrainer
from nanochat_np.train.rollouts import Group, answered, weighted_batches
from nanochat_np.train.work import Work

_MOMENTUM = 0.95
_CACHE = 2 << 30  # bytes of keys and values of the answers that are written side by side
_MOST, _LEAST = 128, 8  # of these answers
_FORWARD = 1 / 3  # of the operations of a training step, which answering takes


class RlStage(GPTStage):
    """See `gpt_stage.GPTStage`.

    A step in which no problem has both right and wrong answers changes nothing at all: neither the weights nor the
    moments of the optimizer, which would otherwise move them on without a reason.
    """

    name = "rl"
    prompts = PROMPTS
    remedy = "lower --init-lr-frac, or set --grad-clip"

    def __init__(
        self,
        config: RlConfig,
        work: Work,
        problems: Problems,
        held_out: Problems,
        tokenizer: BpeTokenizer,
        trainer: GPTTrainer,
        peak_flops: float | None,
        run: Path,
    ) -> None:
        super().__init__(config, work, tokenizer, trainer, peak_flops, run)
        self.settings, self.problems, self.held_out = config, problems, held_out
        self._sampling = Sampling(
            max_tokens=config.max_new_tokens, temperature=config.temperature, top_k=config.top_k, seed=config.seed
        )

    def loading(self) -> AbstractContextManager[None]:
        """Problems are made when a step asks for them."""
        if self._state:
            self.problems = self.problems.restored(self._state)
        return contextlib.nullcontext()

    def validate(self, saved: Path | None, observe: Callable[[], None]) -> Validation:
        """The loss of right answers to held-out problems, and how many of these the model solves."""
        found = super().validate(saved, observe)
        return msgspec.structs.replace(found, pass_at=self._pass_at(observe))

    def _pass_at(self, observe: Callable[[], None]) -> dict[int, float]:
        """By k, at temperature 1, with the same random numbers at every step."""
        samples, mixture = self.settings.num_samples, self.held_out.mixture
        count = min(self.settings.eval_examples, self.held_out.length or self.settings.eval_examples)
        problems, names = Problems(mixture).take(count), [f"evaluation/{number}" for number in range(count)]
        sampling = msgspec.structs.replace(self._sampling, temperature=1.0)
        groups = answered(self._engine(), problems, samples, sampling, names, observe)
        right = [int(group.rewards.sum()) for group in groups]
        return {k: pass_at(k, right, samples) for k in ks(samples)}

    def _step(self, step: int, schedule: Schedule) -> tuple[float, float, dict[str, Any]]:
        begin = time.perf_counter()
        config = self.settings
        problems = self.problems.take(config.examples_per_step)
        names = [f"rollouts/{step}/{number}" for number in range(len(problems))]
        groups = answered(self._engine(), problems, config.num_samples, self._sampling, names)
        answering = time.perf_counter() - begin
        padding = self.tokenizer.special_ids[special.ASSISTANT_END]
        batches = [
            batch
            for group in groups
            if group.has_signal
            for batch in weighted_batches(group, config.device_batch_size, len(problems), padding)
        ]
        loss, norm = self.trainer.step_weighted(batches, *schedule) if batches else (0.0, 0.0)
        figures = _figures(groups)
        tokens = figures["tokens"]
        read = sum(len(group.answers[0].prompt) for group in groups)
        positions = sum(batch.inputs.size for batch in batches) + _FORWARD * (tokens + read)
        flops = self.work.flops_per_token * positions
        event = self._event(schedule, self.problems.epoch, time.perf_counter() - begin, tokens, flops)
        speed = {"rollout_seconds": answering, "rollout_tokens_per_sec": tokens / answering}
        return loss, norm, event | figures | {"flops": flops} | speed

    def _shown(self, event: dict[str, Any]) -> dict[str, float | str]:
        return {"reward": event["reward"], "tok/s": event["tokens_per_sec"]} | super()._shown(event)

    def _place(self) -> dict[str, Any]:
        return self.problems.state()

    def _check(self, state: dict[str, Any]) -> None:
        self.problems.restored(state)

    def _validation(self) -> Batches:
        given = self.held_out.mixture, (), self.tokenizer
        shape = self.settings.device_batch_size, self.work.model.sequence_len
        made: Any = mixed_batches(*given, *shape, documents_share=0.0, learn_all=False)
        return made

    def _schedule(self, step: int) -> Schedule:
        return Schedule(self.settings.init_lr_frac * (1 - step / self.work.iterations), _MOMENTUM, 1.0)

    def _sample(self, engine: GPTEngine, prompt: str, sampling: Sampling) -> str:
        return reply(engine, prompt, sampling)

    def _engine(self) -> GPTEngine:
        """Of the present weights."""
        t = self.trainer
        c, itemsize = t.config, t.weights["lm_head.weight"].itemsize
        of_one = 2 * c.n_layer * c.sequence_len * c.n_kv_head * c.head_dim * itemsize
        slots = max(_LEAST, min(_MOST, _CACHE // of_one))
        return GPTEngine(c, t.weights, self.tokenizer, t.device, slots=slots, precision=self.config.dtype)


def _figures(groups: list[Group]) -> dict[str, Any]:
    """What the log says of the answers of a step: mean reward, share of problems that teach, mean length and sum."""
    lengths = [len(answer.tokens) for group in groups for answer in group.answers]
    return {
        "reward": float(np.mean([group.rewards for group in groups])),
        "signal": float(np.mean([group.has_signal for group in groups])),
        "length": float(np.mean(lengths)),
        "tokens": sum(lengths),
    }
