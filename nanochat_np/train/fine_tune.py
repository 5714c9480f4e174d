"""The stages of conversations, midtraining and SFT: packed conversations with documents among them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from nanochat_np.config import FineTuneConfig, MidtrainConfig
from nanochat_np.data.loader import packed_batches
from nanochat_np.data.split import Split
from nanochat_np.evaluate.bits import Validation
from nanochat_np.infer.answering import reply
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.infer.sampling import Sampling
from nanochat_np.optim.groups import lr_multiplier
from nanochat_np.tasks.batches import mixed_batches, position_of
from nanochat_np.tasks.mixture import Mixture, Mixtures
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.train.gpt_stage import Batches, Schedule
from nanochat_np.train.gpt_trainer import GPTTrainer
from nanochat_np.train.loader_stage import LoaderStage
from nanochat_np.train.meta import Stage
from nanochat_np.train.work import Work

PROMPTS = ("Who are you?", "Please spell banana.", "How many r are in strawberry?", "What is 1234 * 5678?", "Thanks!")
_MOMENTUM, _COLD_MOMENTUM, _MOMENTUM_STEPS = 0.95, 0.85, 300


def stage_of(config: FineTuneConfig) -> Stage:
    """Which of the two the settings are of."""
    return "midtrain" if isinstance(config, MidtrainConfig) else "sft"


class FineTuneStage(LoaderStage):
    """See `loader_stage.LoaderStage`."""

    prompts = PROMPTS

    def __init__(
        self,
        config: FineTuneConfig,
        work: Work,
        mixtures: Mixtures,
        docs: Split,
        tokenizer: BpeTokenizer,
        trainer: GPTTrainer,
        peak_flops: float | None,
        run: Path,
    ) -> None:
        super().__init__(config, work, tokenizer, trainer, peak_flops, run)
        self.name = stage_of(config)
        self.settings, self.mixtures, self.docs = config, mixtures, docs
        if work.adapter:
            self.remedy = "lower --lora-lr, or set --grad-clip"

    def validate(self, saved: Path | None, observe: Callable[[], None]) -> Validation:
        """That of conversations, and besides the bits per byte of documents: what becomes of free text."""
        found = super().validate(saved, observe)
        documents: Any = packed_batches(self.docs.validation, self.tokenizer, *self._shape)
        return msgspec.structs.replace(found, docs_bpb=self._validated(documents, observe).bpb)

    def _training(self, state: dict[str, Any] | None) -> Batches:
        return self._conversations(self.mixtures.train, self.settings.docs_fraction, state)

    def _validation(self) -> Batches:
        return self._conversations(self.mixtures.validation, 0.0, None)

    def _conversations(self, mixture: Mixture, documents_share: float, state: dict[str, Any] | None) -> Any:
        return mixed_batches(
            mixture,
            self.docs.train,
            self.tokenizer,
            *self._shape,
            documents_share=documents_share,
            learn_all=self.settings.loss_on == "all",
            state=state,
        )

    @property
    def _shape(self) -> tuple[int, int]:
        return self.settings.device_batch_size, self.settings.max_seq_len

    def _check(self, state: dict[str, Any]) -> None:
        position_of(state, self.mixtures.train, self.docs.train)

    def _schedule(self, step: int) -> Schedule:
        """Momentum rises where the optimizer begins anew.  Source: nanochat, scripts/chat_sft.py."""
        config = self.settings
        arguments = self.work.iterations, config.warmup_steps, config.warmdown_ratio, config.final_lr_frac
        cold = float(np.interp(step, (0, _MOMENTUM_STEPS), (_COLD_MOMENTUM, _MOMENTUM)))
        lrm = config.init_lr_frac * lr_multiplier(step, *arguments)
        return Schedule(lrm, _MOMENTUM if config.warm_optimizer else cold, 1.0)

    def _sample(self, engine: GPTEngine, prompt: str, sampling: Sampling) -> str:
        return reply(engine, prompt, sampling)
