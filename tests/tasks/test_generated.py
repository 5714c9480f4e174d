"""Generated sets: what is asked and answered, what is kept for the test, and what is right."""

import re

import pytest

from nanochat_np.tasks import words
from nanochat_np.tasks.generated import GENERATED, SETS, conversation, texts
from nanochat_np.tasks.held_out import is_held_out
from nanochat_np.tasks.item import Item
from nanochat_np.tasks.spelling import spelled
from nanochat_np.tasks.tables import expanded, paired
from nanochat_np.tasks.word_lists import HARD_WORDS
from nanochat_np.text.bpe_training import train_bpe
from nanochat_np.text.conversation import parsed

EACH_SET = pytest.mark.parametrize("name", SETS)
COUNT = 1500


def spans(item: Item) -> list[tuple[str, str]]:
    return [(part.type, part.text) for part in item.answer]


def changed(item: Item, number: int, text: str) -> list[tuple[str, str]]:
    """The right answer with another text for one of its spans."""
    return [(kind, text if i == number else right) for i, (kind, right) in enumerate(spans(item))]


@EACH_SET
def test_items_are_functions_of_split_and_number(name):
    one = SETS[name]
    assert one.items("train", 40) == [one.item("train", i) for i in reversed(range(40))][::-1]
    assert one.items("train", 40) != one.items("test", 40)
    for item in one.items("test", 40):
        parsed(item.conversation)
        assert one.is_right(item, spans(item))


@EACH_SET
def test_no_question_of_the_test_is_trained(name):
    asked = [{item.question.lower() for item in SETS[name].items(split, COUNT)} for split in ("train", "test")]
    assert not asked[0] & asked[1]
    assert min(map(len, asked)) > 40


@EACH_SET
def test_a_question_has_one_answer(name):
    answers = {}
    for item in SETS[name].items("train", COUNT):
        assert answers.setdefault(item.question.lower(), item.answer) == item.answer


@pytest.mark.parametrize("name", ["counting", "arithmetic"])
def test_the_tool_says_what_python_says(name):
    for item in SETS[name].items("train", 300):
        call, output, text = (part.text for part in item.answer)
        assert output == str(eval(call))
        assert re.search(r"-?[0-9]+", text)[0] == output


def test_words_are_of_one_split_and_none_is_hard():
    assert len(HARD_WORDS) == len(set(HARD_WORDS)) == 100
    for split in ("train", "test"):
        told = [item.answer[0].text.split()[2] for item in SETS["spelling"].items(split, COUNT)]
        assert {is_held_out(word) for word in told} == {split == "test"}
        assert not set(told) & set(HARD_WORDS)
        english = sum(word in words.english(split) for word in told)
        assert 0.45 < english / COUNT < 0.56
    assert not set(words.english("train")) & {*words.english("test"), *HARD_WORDS}
    assert len(words.english("train")) > 1000


def test_letters_of_a_call_stand_alone():
    for item in SETS["counting"].items("train", 50):
        assert re.fullmatch(r"'( [a-z]){3,15}'\.count\('[a-z]'\)", item.answer[0].text)


def test_numbers_to_four_digits_and_every_operation():
    calls = [item.answer[0].text for item in SETS["arithmetic"].items("train", COUNT)]
    numbers = [number for call in calls for number in re.findall("[0-9]+", call)]
    assert {len(number) for number in numbers} == {1, 2, 3, 4}
    assert {re.sub("[0-9]", "", call) for call in calls} == {"+", "-", "*", "//"}


@pytest.mark.parametrize("name", ["counting", "arithmetic"])
def test_expression_result_and_number_have_to_be_right(name):
    one = SETS[name]
    item = one.item("test", 0)
    assert one.is_right(item, changed(item, 2, f"So there are {item.answer[1].text} of them"))
    for number, text in enumerate(("1+1", "77", "The answer is 77.")):
        assert not one.is_right(item, changed(item, number, text))
    assert not one.is_right(item, spans(item)[2:])
    assert not one.is_right(item, [])


def test_the_letters_have_to_be_right():
    is_right, item = SETS["spelling"].is_right, spelled("banana")
    assert is_right(item, [("text", "banana: b a n a n a")])
    assert not is_right(item, [("text", "The word banana is spelled: b a n a")])
    assert not is_right(item, [("text", "The word banana is spelled: banana")])
    assert not is_right(item, [])


def test_another_text_is_wrong():
    one = SETS["identity"]
    item = one.item("test", 3)
    assert one.is_right(item, [("text", f" {item.answer[0].text}\n")])
    assert not one.is_right(item, [("text", "I am another model.")])


def test_conversations_of_several_turns_mix_the_sets():
    talks = [conversation(GENERATED, "train", i) for i in range(COUNT)]
    turns = [len(talk.messages) // 2 for talk in talks]
    assert set(turns) == {1, 2, 3}
    assert 0.2 < sum(count > 1 for count in turns) / COUNT < 0.3
    assert conversation(GENERATED, "train", 7) == talks[7]
    assert conversation("facts", "test", 7) == SETS["facts"].item("test", 7).conversation
    calls = sum(not isinstance(message.content, str) for talk in talks for message in talk.messages)
    assert 0.45 < calls / sum(turns) < 0.56  # counting and arithmetic: 60 of 119


def test_letters_are_tokens_of_a_tokenizer_that_has_seen_conversations():
    tokenizer = train_bpe(texts(400), 500)
    letters = [len(tokenizer.ids(f" {letter}")) for letter in "abcdefghijklmnopqrstuvwxyz"]
    assert letters.count(1) > 20


def test_phrases_with_choices_are_written_out():
    assert expanded("a [b|c] [|d];  e") == ("a b", "a b d", "a c", "a c d", "e")
    assert paired("a = b; c d = e f") == {"a": "b", "c d": "e f"}
