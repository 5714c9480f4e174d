"""``facts``: a small table of simple facts.  All are trained; of the wordings some are not."""

from typing import NamedTuple

from nanochat_np.backend.random import Draws
from nanochat_np.tasks.held_out import template
from nanochat_np.tasks.item import Item, Split, TaskSet, said
from nanochat_np.tasks.tables import listed, paired


class Table(NamedTuple):
    """Pairs, how they are asked for in training and in the test, and how ``{b}`` of ``{a}`` is said."""

    pairs: dict[str, str]
    trained: tuple[str, ...]
    test_only: tuple[str, ...]
    answer: str


TABLES = (
    Table(
        paired(
            """
            grass = green; snow = white; blood = red; coal = black; milk = white; honey = yellow; silver = grey;
            sand = yellow; chocolate = brown; ink = blue; ivory = white; gold = yellow; mud = brown; ash = grey;
            tar = black; the sky = blue; the sun = yellow; a lemon = yellow; a carrot = orange; a frog = green
            """
        ),
        listed(
            """
            What colour is {a}?; what colour is {a}; What color is {a}?; Which colour is {a}?; What colour does
            {a} have?; Name the colour of {a}.
            """
        ),
        listed("What is the colour of {a}?; Tell me what colour {a} is.; Which colour does {a} have?"),
        "{a} is {b}.",
    ),
    Table(
        paired(
            """
            hot = cold; big = small; old = young; fast = slow; high = low; long = short; light = dark; full =
            empty; hard = soft; rich = poor; wet = dry; good = bad; early = late; open = closed; happy = sad;
            left = right; up = down; in = out; day = night; yes = no; strong = weak; thick = thin; loud = quiet;
            clean = dirty; near = far; first = last; summer = winter; black = white
            """
        ),
        listed(
            """
            What is the opposite of {a}?; what is the opposite of {a}; What's the opposite of {a}?; Name the
            opposite of {a}.; Give me the opposite of {a}.
            """
        ),
        listed("Tell me the opposite of {a}.; Which word is the opposite of {a}?"),
        "The opposite of {a} is {b}.",
    ),
    Table(
        paired(
            """
            cat = cats; dog = dogs; mouse = mice; child = children; foot = feet; tooth = teeth; man = men; woman
            = women; goose = geese; ox = oxen; leaf = leaves; knife = knives; box = boxes; baby = babies; city =
            cities; wolf = wolves; sheep = sheep; person = people; house = houses; book = books; fish = fish;
            bus = buses; key = keys; hero = heroes
            """
        ),
        listed(
            """
            What is the plural of {a}?; what is the plural of {a}; What's the plural of {a}?; Name the plural of
            {a}.; Give me the plural of {a}.
            """
        ),
        listed("Tell me the plural of {a}.; Which word is the plural of {a}?"),
        "The plural of {a} is {b}.",
    ),
    Table(
        paired(
            """
            dog = barks; cat = meows; cow = moos; sheep = bleats; duck = quacks; lion = roars; wolf = howls; bee
            = buzzes; snake = hisses; horse = neighs; frog = croaks; crow = caws; pig = grunts; mouse = squeaks;
            donkey = brays; hen = clucks
            """
        ),
        listed(
            """
            What sound does a {a} make?; What noise does a {a} make?; what sound does a {a} make; Which sound
            does a {a} make?; What does a {a} say?
            """
        ),
        listed("Tell me what sound a {a} makes.; Which noise does a {a} make?"),
        "A {a} {b}.",
    ),
    Table(
        paired(
            """
            dog = four; cat = four; horse = four; spider = eight; bee = six; bird = two; hen = two;
            cow = four; fly = six; duck = two; snake = no; fish = no; sheep = four; crab = ten
            """
        ),
        listed(
            """
            How many legs does a {a} have?; how many legs does a {a} have; How many legs has a {a}?; How many
            legs are on a {a}?
            """
        ),
        listed("Tell me how many legs a {a} has.; What number of legs does a {a} have?"),
        "A {a} has {b} legs.",
    ),
)


def _draw(draws: Draws, split: Split) -> Item:
    table = draws.pick(TABLES)
    a = draws.pick(tuple(table.pairs))
    answer = table.answer.format(a=a, b=table.pairs[a])
    return Item(
        template(draws, split, table.trained, table.test_only).format(a=a), said(answer[0].upper() + answer[1:])
    )


FACTS = TaskSet("facts", _draw)
