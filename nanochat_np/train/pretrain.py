"""The stage of pretraining: packed documents without end, upstream's schedules, samples by greedy decoding."""

from pathlib import Path
from typing import Any

from nanochat_np.config import PretrainConfig
from nanochat_np.data.loader import packed_batches
from nanochat_np.data.position import Position
from nanochat_np.data.split import Split
from nanochat_np.infer.document import continue_prompt
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.infer.sampling import Sampling
from nanochat_np.optim.groups import decay_multiplier, lr_multiplier, muon_momentum
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.train.gpt_stage import Batches, Schedule
from nanochat_np.train.gpt_trainer import GPTTrainer
from nanochat_np.train.loader_stage import LoaderStage
from nanochat_np.train.plan import Plan

PROMPTS = ("The", "If a string is", "Once upon a time", "The capital of France is", "To open a file,")


class PretrainStage(LoaderStage):
    """See `loader_stage.LoaderStage`."""

    name = "pretrain"
    prompts = PROMPTS

    def __init__(
        self,
        config: PretrainConfig,
        plan: Plan,
        split: Split,
        tokenizer: BpeTokenizer,
        trainer: GPTTrainer,
        peak_flops: float | None,
        run: Path,
    ) -> None:
        super().__init__(config, plan.work, tokenizer, trainer, peak_flops, run)
        self.settings, self.split = config, split

    def _training(self, state: dict[str, Any] | None) -> Batches:
        return self._loader(self.split.train, state)

    def _validation(self) -> Batches:
        return self._loader(self.split.validation, None)

    def _loader(self, files: Any, state: dict[str, Any] | None) -> Any:
        rows, length = self.settings.device_batch_size, self.settings.max_seq_len
        return packed_batches(files, self.tokenizer, rows, length, state=state)

    def _check(self, state: dict[str, Any]) -> None:
        Position.of(state, self.split.train, 0, 1)

    def _schedule(self, step: int) -> Schedule:
        config, steps = self.settings, self.work.iterations
        lrm = lr_multiplier(step, steps, config.warmup_steps, config.warmdown_ratio, config.final_lr_frac)
        return Schedule(lrm, muon_momentum(step, steps, config.warmdown_ratio), decay_multiplier(step, steps))

    def _sample(self, engine: GPTEngine, prompt: str, sampling: Sampling) -> str:
        return "".join(continue_prompt(engine, prompt, sampling, truncate=True))
