"""Whether a solution comes to the right number: GSM8K's rule, which any file of worded problems may follow.

Sources: Cobbe et al. 2021, arXiv:2110.14168; karpathy/nanochat at 92d63d4, tasks/gsm8k.py.
"""

import re
from collections.abc import Sequence

from nanochat_np.tasks.item import Span
from nanochat_np.text.conversation import Conversation

_FINAL = re.compile(r"#### (\-?[0-9\.\,]+)")


def final_number(text: str) -> str | None:
    """What follows the first ``####`` of a solution, without commas; None where no number does."""
    found = _FINAL.search(text)
    return found.group(1).replace(",", "") if found else None


def reference_number(conversation: Conversation) -> str | None:
    """The number that the last answer of a conversation comes to."""
    content = conversation.messages[-1].content
    return final_number(
        content if isinstance(content, str) else "".join(part.text for part in content if part.type == "text")
    )


def same_number(conversation: Conversation, spans: Sequence[Span]) -> bool:
    """Whether an answer comes to the number that the conversation's own does, digit by digit."""
    found = final_number("".join(text for kind, text in spans if kind == "text"))
    return found is not None and found == reference_number(conversation)
