"""The recipe of the speedrun: which tokenizer, which stages, how long.

A small vocabulary, so that a letter with a space before it is a token of its own; rates as at upstream's batch, which
at two thousand tokens a step is far more than the scaling law says; one schedule over all three stages, constant to
the middle and then linear to 0, so that each goes on where the one before ended.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nanochat_np.config import MidtrainConfig, PretrainConfig, SftConfig, SpeedrunConfig
from nanochat_np.data.documents import DocumentFile
from nanochat_np.data.split import open_split
from nanochat_np.tasks.generated import GENERATED, conversation
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.text.bpe_training import train_bpe
from nanochat_np.text.conversation import Conversation

TEXT, TOKENIZER = "stdlib", "tokenizer"
VOCAB_SIZE, CONVERSATIONS = 512, 6000  # of the tokenizer, and of those that it is trained on besides the text
DEPTH, CONTEXT, ROWS = 4, 256, 8
RATE_SCALE = 16.0  # undoes the law's square root of this batch over upstream's of 2**19
STEPS = {"pretrain": 600, "midtrain": 2300, "sft": 800}
_WHEN_IT_FALLS = 0.5  # of all steps
ANSWER_TOKENS = 96  # of an answer in the evaluation; the longest right ones have about half of them


def train_tokenizer() -> BpeTokenizer:
    """From the built-in text and the first conversations."""
    return train_bpe(_texts(), VOCAB_SIZE)


def _texts() -> Iterator[str]:
    files: tuple[DocumentFile, ...] = tuple(open_split(TEXT, "text").train)
    for file in files:
        for group in file.groups():
            yield from file.read(group)
    for index in range(CONVERSATIONS):
        yield from _said(conversation(GENERATED, "train", index))


def _said(one: Conversation) -> Iterator[str]:
    for message in one.messages:
        if isinstance(message.content, str):
            yield message.content
        else:
            yield from (part.text for part in message.content)


def stages(config: SpeedrunConfig, folder: Path) -> tuple[PretrainConfig, MidtrainConfig, SftConfig]:
    """The settings of each, in order; its run is the folder of its name within ``folder``."""
    total, begun = sum(STEPS.values()), 0
    at_end = {}
    for name, steps in STEPS.items():
        begun += steps
        at_end[name] = min(1.0, (1 - begun / total) / (1 - _WHEN_IT_FALLS))  # share of the peak rates at its end
    falling = (STEPS["pretrain"] + STEPS["midtrain"] - _WHEN_IT_FALLS * total) / STEPS["midtrain"]
    own: dict[str, Any] = {"seed": config.seed, "device": config.device, "quiet": config.quiet, "resume": config.resume}
    often: dict[str, Any] = {"eval_every": 0, "save_every": 500, "sample_every": 0, "keep": 1}
    pretrain = PretrainConfig(
        data=TEXT,
        tokenizer=str(folder / TOKENIZER),
        depth=DEPTH,
        max_seq_len=CONTEXT,
        device_batch_size=ROWS,
        total_batch_size=ROWS * CONTEXT,
        num_iterations=STEPS["pretrain"],
        rate_scale=RATE_SCALE,
        weight_decay=0.0,
        warmup_steps=20,
        warmdown_ratio=0.0,
        out=str(folder / "pretrain"),
        **own,
        **often,
    )
    midtrain = MidtrainConfig(
        base=pretrain.out,
        loss_on="assistant",
        docs_fraction=0.15,
        num_iterations=STEPS["midtrain"],
        init_lr_frac=1.0,
        warmup_steps=0,
        warmdown_ratio=falling,
        final_lr_frac=at_end["midtrain"],
        out=str(folder / "midtrain"),
        **own,
        **often,
    )
    sft = SftConfig(
        base=midtrain.out,
        docs_fraction=0.05,
        num_iterations=STEPS["sft"],
        init_lr_frac=at_end["midtrain"],
        warmup_steps=0,
        warmdown_ratio=1.0,
        final_lr_frac=0.0,
        out=str(folder / "sft"),
        **own,
        **often,
    )
    return pretrain, midtrain, sft
