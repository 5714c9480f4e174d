"""``dates``: the order of days and months, and how many there are.  All is trained; of the wordings some are not."""

from nanochat_np.backend.random import Draws
from nanochat_np.tasks.held_out import template
from nanochat_np.tasks.item import Item, Split, TaskSet, said
from nanochat_np.tasks.tables import listed, paired

DAYS = listed("Monday; Tuesday; Wednesday; Thursday; Friday; Saturday; Sunday")
_LENGTHS = {
    month: int(days)
    for month, days in paired(
        """
        January = 31; February = 28; March = 31; April = 30; May = 31; June = 30; July = 31; August = 31;
        September = 30; October = 31; November = 30; December = 31
        """
    ).items()
}
MONTHS = tuple(_LENGTHS)
_ORDINALS = listed("first; second; third; fourth; fifth; sixth; seventh; eighth; ninth; tenth; eleventh; twelfth")
_NEXT = (
    listed(
        """
        Which {kind} comes after {name}?; What {kind} comes after {name}?; What comes after {name}?; Which
        {kind} follows {name}?; what {kind} is after {name}; Name the {kind} after {name}.
        """
    ),
    listed(
        """
        Tell me which {kind} comes after {name}.; What {kind} follows {name}?; Which {kind} is after {name}?
        """
    ),
)
_BEFORE = (
    listed(
        """
        Which {kind} comes before {name}?; What {kind} comes before {name}?; What comes before {name}?; what
        {kind} is before {name}; Name the {kind} before {name}.
        """
    ),
    listed("Tell me which {kind} comes before {name}.; Which {kind} is before {name}?"),
)
_LENGTH = (
    listed(
        """
        How many days does {name} have?; How many days are in {name}?; how many days has {name}?; How long is
        {name}?; How many days are there in {name}?
        """
    ),
    listed("Tell me how many days {name} has.; How many days are there in the month of {name}?"),
)
_ORDINAL = (
    listed(
        """
        What is the {number} {kind}?; Which is the {number} {kind}?; Name the {number} {kind}.; What is the name
        of the {number} {kind}?
        """
    ),
    listed("Tell me the {number} {kind}.; Which {kind} is the {number}?"),
)
_OF = {"day": "week", "month": "year"}


def _draw(draws: Draws, split: Split) -> Item:
    kind, names = draws.pick((("day", DAYS), ("month", MONTHS)))
    place = draws.below(len(names))
    name, asked = names[place], draws.pick(("next", "before", "length", "ordinal"))
    if asked == "length":
        month = draws.pick(MONTHS)
        days = f"{_LENGTHS[month]} days" + (", and 29 in a leap year" if month == "February" else "")
        return Item(template(draws, split, *_LENGTH).format(name=month), said(f"{month} has {days}."))
    if asked == "ordinal":
        question = template(draws, split, *_ORDINAL).format(number=_ORDINALS[place], kind=f"{kind} of the {_OF[kind]}")
        return Item(question, said(f"The {_ORDINALS[place]} {kind} is {name}."))
    step, templates, word = (1, _NEXT, "after") if asked == "next" else (-1, _BEFORE, "before")
    other = names[(place + step) % len(names)]
    return Item(template(draws, split, *templates).format(kind=kind, name=name), said(f"{other} comes {word} {name}."))


DATES = TaskSet("dates", _draw)
