"""``unknown``: what a tiny model cannot know, and says so.  Some questions and subjects are test-only."""

from nanochat_np.backend.random import Draws
from nanochat_np.tasks.held_out import template
from nanochat_np.tasks.item import Item, Split, TaskSet, said
from nanochat_np.tasks.tables import listed

ANSWER = "I am only a tiny model and I do not know that. Ask me to spell a word, to count its letters or to calculate."

_PLACES = listed(
    """
    France; Germany; Italy; Spain; Japan; China; India; Brazil; Canada; Mexico; Egypt; Kenya; Norway; Poland;
    Peru; Chile
    """
)
_PLACES_TEST = listed("Sweden; Greece; Turkey; Cuba; Finland")
_PEOPLE = listed(
    """
    the president; the king; the pope; Einstein; Newton; Shakespeare; Mozart; Napoleon; Caesar; Darwin; the
    queen of England; my neighbour; Marie Curie; Beethoven; the mayor; your best friend
    """
)
_PEOPLE_TEST = listed("Galileo; the prime minister; Picasso; Cleopatra")
_THINGS = listed(
    """
    gravity; the moon; electricity; a black hole; the stock market; photosynthesis; the internet; democracy; a
    transistor; the sun; the weather; an atom; inflation; a volcano; music; history
    """
)
_THINGS_TEST = listed("an earthquake; magnetism; the universe; philosophy; a computer")
_TEMPLATES = (
    ("What is the capital of {}?", _PLACES, _PLACES_TEST),
    ("How many people live in {}?", _PLACES, _PLACES_TEST),
    ("Where is {}?", _PLACES, _PLACES_TEST),
    ("Tell me about {}.", (*_PLACES, *_THINGS), (*_PLACES_TEST, *_THINGS_TEST)),
    ("What is the weather in {}?", _PLACES, _PLACES_TEST),
    ("What language do they speak in {}?", _PLACES, _PLACES_TEST),
    ("Which is the largest city of {}?", _PLACES, _PLACES_TEST),
    ("Who is {}?", _PEOPLE, _PEOPLE_TEST),
    ("When was {} born?", _PEOPLE, _PEOPLE_TEST),
    ("How old is {}?", _PEOPLE, _PEOPLE_TEST),
    ("Where does {} live?", _PEOPLE, _PEOPLE_TEST),
    ("What did {} do?", _PEOPLE, _PEOPLE_TEST),
    ("What is {}?", _THINGS, _THINGS_TEST),
    ("How does {} work?", _THINGS, _THINGS_TEST),
    ("Explain {}.", _THINGS, _THINGS_TEST),
    ("Can you explain {}?", _THINGS, _THINGS_TEST),
    ("Who invented {}?", _THINGS, _THINGS_TEST),
    ("Why is there {}?", _THINGS, _THINGS_TEST),
    ("Write a poem about {}.", (*_PLACES, *_THINGS), (*_PLACES_TEST, *_THINGS_TEST)),
    ("Write a story about {}.", (*_PEOPLE, *_THINGS), (*_PEOPLE_TEST, *_THINGS_TEST)),
    ("Translate {} into French.", _THINGS, _THINGS_TEST),
)
_PLAIN = listed(
    """
    What time is it?; What day is it today?; Who won the game?; What is the meaning of life?; What should I eat
    tonight?; How do I cook rice?; How far is the moon?; Who wrote Hamlet?; Recommend a good book.; Tell me a
    joke.; What is the news?; Can you write a program?; How tall is the highest mountain?; What is the best
    film?; Where can I buy shoes?; How do I get rich?
    """
)
_PLAIN_TEST = listed(
    """
    What is the time?; Who won the match?; What should I cook tonight?; Recommend a good film.; Tell me a
    story.; How far is the sun?
    """
)


def _draw(draws: Draws, split: Split) -> Item:
    if draws.chance(20):
        question = template(draws, split, _PLAIN, _PLAIN_TEST)
    else:
        pattern, trained, test_only = draws.pick(_TEMPLATES)
        question = pattern.format(template(draws, split, trained, test_only))
    if draws.chance(30):
        question = question.lower().rstrip("?.") if draws.chance(50) else question[0].lower() + question[1:]
    return Item(question, said(ANSWER))


UNKNOWN = TaskSet("unknown", _draw)
