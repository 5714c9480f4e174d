"""``arithmetic``: sums, differences, products and exact quotients of numbers to four digits, by the calculator."""

from nanochat_np.backend.random import Draws
from nanochat_np.tasks.held_out import is_held_out
from nanochat_np.tasks.item import Item, Split, TaskSet, calculated, same_calculation

_DIGITS = 4
_SIGNS = {"+": ("+", "plus"), "-": ("-", "minus"), "*": ("*", "times", "x"), "//": ("/", "divided by")}
_TEMPLATES = (
    "What is {sum}?",
    "what is {sum}",
    "What is {sum}",
    "What's {sum}?",
    "How much is {sum}?",
    "how much is {sum}?",
    "Calculate {sum}.",
    "calculate {sum}",
    "Please calculate {sum}.",
    "Compute {sum}.",
    "What do you get for {sum}?",
    "Can you calculate {sum}?",
    "Tell me what {sum} is.",
    "Work out {sum}.",
    "What is the result of {sum}?",
    "I need {sum}.",
    "{sum}",
    "{sum} =",
    "{sum} = ?",
)


def _draw(draws: Draws, split: Split) -> Item:
    """The two numbers and the operation are of one split, whatever the words."""
    while True:
        a, b, sign = _number(draws), _number(draws), draws.pick(tuple(_SIGNS))
        if sign == "//":
            b = b or 1
            a = b * (a % max(1, 10**_DIGITS // b))  # a multiple of b that has no more digits
        elif sign == "-" and a < b and draws.chance(75):
            a, b = b, a
        expression = f"{a}{sign}{b}"
        if is_held_out(expression) == (split == "test"):
            break
    result = {"+": a + b, "-": a - b, "*": a * b, "//": a // max(b, 1)}[sign]
    word = draws.pick(_SIGNS[sign])
    asked = f"{a}{word}{b}" if word in "+-*/" and draws.chance(40) else f"{a} {word} {b}"
    answer = calculated(expression, str(result), f"The answer is {result}.")
    return Item(draws.pick(_TEMPLATES).format(sum=asked), answer)


def _number(draws: Draws) -> int:
    """Of one to four digits, each as often."""
    digits = 1 + draws.below(_DIGITS)
    least = 10 ** (digits - 1) if digits > 1 else 0
    return least + draws.below(10**digits - least)


ARITHMETIC = TaskSet("arithmetic", _draw, same_calculation)
