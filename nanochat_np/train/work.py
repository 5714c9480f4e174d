"""What is trained and how long: all that a stage has to know of its plan."""

import msgspec

from nanochat_np.nn.gpt_config import GPTConfig
from nanochat_np.optim.groups import Rates
from nanochat_np.optim.lora import Adapter


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A model and how it is trained.  ``rates`` are the peak rates of this model and batch; sizes in tokens.

    ``adapter`` is what learns in place of all weights, at a rate of its own.
    """

    model: GPTConfig
    rates: Rates
    iterations: int
    tokens_per_step: int
    accumulation: int  # forward passes of an optimizer step
    flops_per_token: int
    adapter: Adapter | None = None
