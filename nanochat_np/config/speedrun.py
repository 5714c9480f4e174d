"""The whole pipeline in one command: speedrun."""

from typing import Annotated

from msgspec import Meta

from nanochat_np.config.common import Common, DeviceName, Folder, Positive
from nanochat_np.config.stage import Seed


class SpeedrunConfig(Common, frozen=True, kw_only=True):
    """From nothing to a model to talk to, in minutes: tokenizer, pretraining, midtraining, SFT, evaluation, chat.

    Examples:
      python -m nanochat_np speedrun
      python -m nanochat_np speedrun --seed 7 --nochat --out results/mine
      python -m nanochat_np speedrun --resume --out results/mine
    """

    out: Annotated[Folder | None, Meta(description="folder of the runs (default: results/speedrun_TIME)")] = None
    resume: Annotated[bool, Meta(description="go on in --out with what is not done there")] = False
    seed: Seed = 42
    items: Annotated[Positive, Meta(description="held-out questions of each kind that each stage is asked")] = 200
    chat: Annotated[bool, Meta(description="talk to the model at the end, where there is a terminal")] = True
    device: DeviceName = "auto"
