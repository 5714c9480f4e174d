"""Multiple choice as a chat model is asked: the letter stands after the answer it is for."""

from collections.abc import Sequence

from nanochat_np.evaluate.tasks.task import Answer, Problem


def choice_prompt(question: str, letters: Sequence[str], choices: Sequence[str]) -> str:
    """Upstream's wording, without a space before a letter: it is then the token that begins an answer."""
    lines = "".join(f"- {choice}={letter}\n" for letter, choice in zip(letters, choices, strict=True))
    return f"Multiple Choice question: {question}\n{lines}\nRespond only with the letter of the correct answer."


def is_the_letter(problem: Problem, answer: Answer) -> bool:
    """Whether the letter is the right one."""
    return answer.text == problem.gold
