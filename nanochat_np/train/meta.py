"""What meta.json says of a checkpoint, by the kind of its model."""

import abc
from typing import Any, Literal

import msgspec

from nanochat_np.config import Dtype
from nanochat_np.nn import gpt_config
from nanochat_np.nn.gpt_config import GPTConfig
from nanochat_np.nn.model import ModelConfig, Shapes, architecture

Stage = Literal["import", "pretrain", "midtrain", "sft", "rl"]


class FileRecord(msgspec.Struct, frozen=True):
    """What a file must be, to be read."""

    bytes: int
    sha256: str


class Meta(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What every checkpoint says.

    ``dtype`` is that of the weights, ``train_seconds`` time in training steps, ``recent_losses`` those of the last of
    these, in nats a token.
    """

    step: int
    dtype: Dtype
    train_seconds: float
    recent_losses: list[float] = []
    files: dict[str, FileRecord] = {}

    @abc.abstractmethod
    def shapes(self) -> Shapes:
        """Name and shape of each weight.  Raises KeyError for a model that this program does not know."""

    @property
    @abc.abstractmethod
    def state_arrays(self) -> frozenset[str]:
        """Arrays without which training could not go on."""


class CharacterMeta(Meta, frozen=True, kw_only=True, tag="character"):
    """A model of the character lab."""

    model: ModelConfig
    style: str
    characters: str  # the tokenizer's vocabulary after BOS
    dataset_sha256: str

    def shapes(self) -> Shapes:
        return architecture(self.model.kind).shapes(self.model)

    @property
    def state_arrays(self) -> frozenset[str]:
        return frozenset({"m", "v"})


class GPTMeta(Meta, frozen=True, kw_only=True, tag="gpt"):
    """A nanochat GPT, whose tokenizer lies beside it in bpe.json.

    ``position`` is the loader's (`data.position`), None where no training can go on from here; ``settings`` are those
    of the run, as config.json has them; ``optimizer_steps`` are the updates that the optimizer's state has seen, also
    those of the stages before (None: ``step``).
    """

    stage: Stage
    model: GPTConfig
    tokenizer: str  # its fingerprint
    position: dict[str, Any] | None = None
    settings: dict[str, Any] = {}
    optimizer_steps: int | None = None

    def shapes(self) -> Shapes:
        return gpt_config.shapes(self.model)

    @property
    def state_arrays(self) -> frozenset[str]:
        return frozenset()  # the optimizer knows what it needs

    @property
    def converses(self) -> bool:
        """Whether it has been trained on conversations."""
        return self.stage not in ("import", "pretrain")

    @property
    def updates(self) -> int:
        """``optimizer_steps``, which older checkpoints do not say."""
        return self.step if self.optimizer_steps is None else self.optimizer_steps


AnyMeta = CharacterMeta | GPTMeta
