"""One question with its answer, and whether another answer is as right."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from nanochat_np.backend.random import Draws
from nanochat_np.text.conversation import Conversation, Message, Part

Split = Literal["train", "test"]
Span = tuple[str, str]  # kind ("text", "python" or "python_output") and text


class Item(NamedTuple):
    """A question of a set and the parts of its answer."""

    question: str
    answer: tuple[Part, ...]

    @property
    def messages(self) -> tuple[Message, Message]:
        """The question and the answer as turns."""
        parts = self.answer
        plain = len(parts) == 1 and parts[0].type == "text"
        return Message("user", self.question), Message("assistant", parts[0].text if plain else parts)

    @property
    def conversation(self) -> Conversation:
        """With the answer: `text.conversation.render_for_completion` leaves it out."""
        return Conversation(self.messages)


def said(text: str) -> tuple[Part, ...]:
    """An answer of text alone."""
    return (Part("text", text),)


def calculated(expression: str, result: str, text: str) -> tuple[Part, ...]:
    """An answer that calls the calculator and then says what came of it."""
    return Part("python", expression), Part("python_output", result), Part("text", text)


def same_text(item: Item, spans: Sequence[Span]) -> bool:
    """Whether the answer has the same spans, spaces around them aside."""
    return [(kind, text.strip()) for kind, text in spans if text.strip()] == [(p.type, p.text) for p in item.answer]


def same_calculation(item: Item, spans: Sequence[Span]) -> bool:
    """Whether expression and result are the same, spaces between numbers aside, and the text says the same number."""
    found = [(kind, text) for kind, text in spans if kind != "text" or text.strip()]
    if [kind for kind, _ in found] != [part.type for part in item.answer]:
        return False
    (_, expression), (_, result), (_, text) = found
    call, output, _ = (part.text for part in item.answer)
    number = re.findall(r"-?[0-9]+", text)
    return expression.strip() == call and result.strip() == output and number[-1:] == [output]


@dataclass(frozen=True)
class TaskSet:
    """An endless list of items that are made when they are asked for.

    Item i of a split is a function of the set's name, the split and i alone.  No item of the test split can be one of
    the training split, whatever their numbers: what each may use is disjoint.
    """

    name: str
    draw: Callable[[Draws, Split], Item]
    is_right: Callable[[Item, Sequence[Span]], bool] = same_text

    def item(self, split: Split, index: int) -> Item:
        """Number ``index`` (from 0) of a split."""
        return self.draw(Draws(f"{self.name}/{split}", index), split)

    def items(self, split: Split, count: int) -> list[Item]:
        """The first ``count`` of a split: small sets repeat themselves."""
        return [self.item(split, index) for index in range(count)]
