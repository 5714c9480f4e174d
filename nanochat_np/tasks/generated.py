"""All generated sets by name, and ``generated``: conversations of one to three turns that mix them."""

from collections.abc import Iterator
from functools import cache

from nanochat_np.backend.random import Draws
from nanochat_np.tasks.arithmetic import ARITHMETIC
from nanochat_np.tasks.counting import COUNTING
from nanochat_np.tasks.dates import DATES
from nanochat_np.tasks.facts import FACTS
from nanochat_np.tasks.identity import IDENTITY
from nanochat_np.tasks.item import Split, TaskSet
from nanochat_np.tasks.spelling import SPELLING
from nanochat_np.tasks.unknown import UNKNOWN
from nanochat_np.text.conversation import Conversation

SETS: dict[str, TaskSet] = {one.name: one for one in (SPELLING, COUNTING, ARITHMETIC, IDENTITY, UNKNOWN, DATES, FACTS)}
GENERATED = "generated"
_TENTHS = {"spelling": 40, "counting": 40, "arithmetic": 20, "identity": 8, "unknown": 6, "dates": 6, "facts": 6}
_SEVERAL_TURNS = 25  # of a hundred conversations


def conversation(name: str, split: Split, index: int) -> Conversation:
    """Number ``index`` of a set, or of their mixture where ``name`` is GENERATED: a function of the three alone."""
    if name != GENERATED:
        return SETS[name].item(split, index).conversation
    draws = Draws(f"{GENERATED}/{split}", index)
    turns = 2 + draws.below(2) if draws.chance(_SEVERAL_TURNS) else 1
    items = (draws.pick(_by_weight()).draw(draws, split) for _ in range(turns))
    return Conversation(tuple(message for item in items for message in item.messages))


def texts(count: int) -> Iterator[str]:
    """What the first conversations of GENERATED say, for a tokenizer to be trained on.

    With them the letters of a spelled word become tokens, each with its space, also in a small vocabulary.
    """
    for index in range(count):
        for message in conversation(GENERATED, "train", index).messages:
            content = message.content
            yield content if isinstance(content, str) else "\n".join(part.text for part in content)


@cache
def _by_weight() -> tuple[TaskSet, ...]:
    return tuple(SETS[name] for name, weight in _TENTHS.items() for _ in range(weight))
