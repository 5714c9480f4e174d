"""``counting``: how often a letter is in a word, counted by the calculator.

The call spells the word with a space before each letter, as `spelling` does: so the letters are tokens that the model
learns in both sets, while a word in one piece after a quote would be cut as nowhere else ("'s" + "trawberry").
"""

from nanochat_np.backend.random import Draws
from nanochat_np.tasks.item import Item, Split, TaskSet, calculated, same_calculation
from nanochat_np.tasks.spelling import letters
from nanochat_np.tasks.words import any_word

_TEMPLATES = (
    "How many {letter} are in {word}?",
    "how many {letter} are in {word}",
    "How many {letter} are in {word}",
    "How many {letter} are there in {word}?",
    "How many {letter}'s are in {word}?",
    "how many {letter}'s are in {word}?",
    "How many {letter}'s are there in {word}?",
    "How many {letter}'s does {word} have?",
    "How many times is {letter} in {word}?",
    "How many times does {letter} appear in {word}?",
    "How many times does the letter {letter} appear in {word}?",
    "How many times does the letter {letter} occur in {word}?",
    "How often is {letter} in {word}?",
    "How often does {letter} appear in {word}?",
    "How often does the letter {letter} occur in {word}?",
    "How many of the letter {letter} are in {word}?",
    "How many letters {letter} are in {word}?",
    "How many letters {letter} are in the word {word}?",
    "How many {letter} are in the word {word}?",
    "How many {letter}'s are in the word {word}?",
    "Count the letter {letter} in {word}.",
    "Count the letter {letter} in the word {word}.",
    "Please count the letter {letter} in {word}.",
    "Count how many {letter} are in {word}.",
    "Count how often {letter} is in {word}.",
    "Tell me how many {letter} are in {word}.",
    "Can you count the letter {letter} in {word}?",
    "In {word}, how many {letter} are there?",
    'How many {letter} are in "{word}"?',
    "How many '{letter}' are in '{word}'?",
    'How many "{letter}" are in "{word}"?',
    "What is the number of {letter} in {word}?",
)
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def _draw(draws: Draws, split: Split) -> Item:
    word = any_word(draws, split)
    return counted(word, draws.pick(word if draws.chance(80) else _ALPHABET), draws.pick(_TEMPLATES))


def counted(word: str, letter: str, template: str = _TEMPLATES[0]) -> Item:
    """The item of a letter in a word."""
    count = word.count(letter)
    times = "time" if count == 1 else "times"
    answer = calculated(
        f"'{letters(word)}'.count('{letter}')", str(count), f"The letter {letter} appears {count} {times} in {word}."
    )
    return Item(template.format(letter=letter, word=word), answer)


COUNTING = TaskSet("counting", _draw, same_calculation)
