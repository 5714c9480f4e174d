"""Endless little stories in simple English, the same on every machine."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from nanochat_np.data import story_words as words

DEFAULT_CHARACTERS = 200_000
SEED = 20_240_229

Choice = TypeVar("Choice")


def stories(n_characters: int) -> tuple[str, ...]:
    """Stories of ``n_characters`` ASCII characters together; the last one is cut to fit.

    More characters only go on where fewer stop: the stories up to the cut are the same.
    """
    numbers = _numbers(SEED)
    documents = []
    while n_characters > 0:
        document = _story(numbers)[:n_characters]
        documents.append(document)
        n_characters -= len(document)
    return tuple(documents)


def _numbers(seed: int) -> Iterator[int]:
    """Knuth's MMIX linear congruential generator, its low bits, which are poor, dropped.

    Integers of our own, because the text is pinned for ever: what ``random.choice`` or a NumPy Generator make of
    a seed may change with their version.
    """
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield state >> 33


def _pick(numbers: Iterator[int], table: Sequence[Choice]) -> Choice:
    return table[next(numbers) % len(table)]


def _story(numbers: Iterator[int]) -> str:
    """One story: a wish, a trouble, a helper and a good end, a paragraph to a line."""
    trouble, attempt, solution = _pick(numbers, words.TROUBLES)
    gift, meeting = _pick(numbers, words.GIFTS), _pick(numbers, words.MEETINGS)
    paragraphs = (
        (_pick(numbers, words.OPENINGS), _pick(numbers, words.HABITS)),
        (gift, _pick(numbers, words.JOYS), _pick(numbers, words.ASIDES)),
        (trouble, attempt),
        (meeting,),
        (_pick(numbers, words.ANSWERS),),
        (_pick(numbers, words.OFFERS), solution),
        (_pick(numbers, words.THANKS),),
        (_pick(numbers, words.ENDINGS), _pick(numbers, words.MORALS)),
    )
    scene = _scene(numbers)
    lines = (" ".join(sentence for sentence in paragraph if sentence) for paragraph in paragraphs)
    return "".join(f"{line}\n" for line in lines).format_map(scene)


def _scene(numbers: Iterator[int]) -> dict[str, str]:
    """What fills the slots of one story; each slot also with a capital."""
    scene = _hero(numbers) | _thing(numbers) | _helper(numbers) | _creatures(numbers)
    tables = {
        "place": words.PLACES,
        "hobby": words.HOBBIES,
        "food": words.FOODS,
        "relative": words.RELATIVES,
        "weather": words.WEATHER,
        "time": words.TIMES,
        "weekday": words.WEEKDAYS,
        "number": words.NUMBERS[3:],
        "sad": words.SAD,
        "feeling": words.FEELINGS,
    }
    scene |= {slot: _pick(numbers, table) for slot, table in tables.items()}
    return scene | {slot.capitalize(): text[0].upper() + text[1:] for slot, text in scene.items()}


def _hero(numbers: Iterator[int]) -> dict[str, str]:
    trait, girl, boy = (_pick(numbers, table) for table in (words.TRAITS, words.GIRLS, words.BOYS))
    return _pick(
        numbers,
        (
            words.GIRL | {"name": girl, "kind": f"a {trait} girl"},
            words.BOY | {"name": boy, "kind": f"a {trait} boy"},
            words.FRIENDS | {"name": f"{girl} and {boy}", "kind": f"two {trait} friends"},
        ),
    )


def _thing(numbers: Iterator[int]) -> dict[str, str]:
    color, one, many = (_pick(numbers, table) for table in (words.COLORS, words.THINGS, words.MANY_THINGS))
    return _pick(
        numbers,
        (
            words.SINGULAR | {"noun": one, "thing": f"the {one}", "a_thing": _with_article(f"{color} {one}")},
            words.PLURAL | {"noun": many, "thing": f"the {many}", "a_thing": f"{color} {many}"},
        ),
    )


def _helper(numbers: Iterator[int]) -> dict[str, str]:
    size, animal = _pick(numbers, words.SIZES), _pick(numbers, words.ANIMALS)
    return {"animal": animal, "helper": f"the {animal}", "a_helper": _with_article(f"{size} {animal}")}


def _creatures(numbers: Iterator[int]) -> dict[str, str]:
    number = _pick(numbers, words.NUMBERS)
    if number == "one":
        return {"creatures": f"one {_pick(numbers, words.CREATURE)}", "creature_was": "was"}
    return {"creatures": f"{number} {_pick(numbers, words.CREATURES)}", "creature_was": "were"}


def _with_article(phrase: str) -> str:
    return f"an {phrase}" if phrase[0] in "aeiou" else f"a {phrase}"
