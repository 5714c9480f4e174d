"""Whether a solution comes to the right number."""

import pytest

from nanochat_np.tasks.gsm8k import final_number, reference_number, same_number
from nanochat_np.text.conversation import parsed


def solved(*parts):
    return parsed(
        {
            "messages": [
                {"role": "user", "content": "How many?"},
                {"role": "assistant", "content": [{"type": kind, "text": text} for kind, text in parts]},
            ]
        }
    )


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("so 3 left\n#### 3", "3"),
        ("#### -1,234.5", "-1234.5"),
        ("#### 72\n#### 8", "72"),
        ("#### 3.", "3."),
        ("####3", None),
        ("#### three", None),
        ("", None),
    ],
)
def test_the_final_number(text, number):
    assert final_number(text) == number


def test_answers_are_judged_by_their_text():
    right = solved(("text", "It is "), ("python", "600+600"), ("python_output", "1200"), ("text", ".\n#### 1,200"))
    assert reference_number(right) == "1200"
    assert same_number(right, [("text", "other words\n#### 1200")])
    assert same_number(right, [("text", "#### "), ("python", "9"), ("python_output", "9"), ("text", "1200")])
    assert not same_number(right, [("text", "#### 120")])
    assert not same_number(right, [("text", "1200")])
    assert not same_number(right, [("python", "#### 1200")])
    assert not same_number(solved(("text", "no number")), [("text", "none either")])
