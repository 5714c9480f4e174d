"""``spelling``: a word letter by letter, with a space before each, so that each is a token of its own."""

from collections.abc import Sequence

from nanochat_np.backend.random import Draws
from nanochat_np.tasks.item import Item, Span, Split, TaskSet, said
from nanochat_np.tasks.words import any_word

_TEMPLATES = (
    "Spell {}.",
    "Spell {}",
    "spell {}",
    "Please spell {}.",
    "please spell {}",
    "Spell {} please.",
    "Spell the word {}.",
    "Please spell the word {}.",
    "How do you spell {}?",
    "how do you spell {}",
    "How is {} spelled?",
    "How do I spell {}?",
    "Can you spell {}?",
    "Can you spell the word {}?",
    "Could you spell {} for me?",
    "What are the letters of {}?",
    "What are the letters in {}?",
    "Which letters are in {}?",
    "Write {} letter by letter.",
    "Say the letters of {}.",
    "I want to spell {}. How?",
    "Tell me how to spell {}.",
    'Spell "{}".',
    "Please spell '{}'.",
    'How do you spell "{}"?',
    "How do you spell the word {}?",
)


def letters(word: str) -> str:
    """The letters of a word, a space before each."""
    return "".join(f" {letter}" for letter in word)


def _draw(draws: Draws, split: Split) -> Item:
    return spelled(any_word(draws, split), draws.pick(_TEMPLATES))


def spelled(word: str, template: str = _TEMPLATES[0]) -> Item:
    """The item of a word."""
    return Item(template.format(word), said(f"The word {word} is spelled:{letters(word)}"))


def _is_right(item: Item, spans: Sequence[Span]) -> bool:
    """Whether the letters after the last colon are the word's."""
    if [kind for kind, text in spans if text.strip()] != ["text"]:
        return False
    found, right = (text.rpartition(":")[2].split() for text in ("".join(t for _, t in spans), item.answer[0].text))
    return found == right


SPELLING = TaskSet("spelling", _draw, _is_right)
