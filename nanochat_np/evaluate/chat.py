"""Problems put to a chat model: letters by which of them it expects most, all else by what it writes.

Source: karpathy/nanochat at 92d63d4, scripts/chat_eval.py.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from nanochat_np.errors import NanochatError, PromptTooLong
from nanochat_np.evaluate.items import Item
from nanochat_np.evaluate.predictor import Predictor
from nanochat_np.evaluate.result import Result, part
from nanochat_np.evaluate.tasks.task import Answer, ChatTask, Problem
from nanochat_np.infer.answer import AnswerText
from nanochat_np.infer.batch import steps
from nanochat_np.infer.generation import Generation
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.infer.sampling import Sampling
from nanochat_np.infer.tool import Tool
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.text.conversation import Ids, render_for_completion, stop_ids


class ChatSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``max_problems`` of a task, -1 all; ``num_samples`` answers where they are written: one must be right."""

    max_problems: int = -1
    num_samples: int = 1
    temperature: float = 0.0
    top_k: int = 50
    max_new_tokens: int = 512
    batch_size: int = 8
    seed: int = 0


class _Asked(msgspec.Struct, frozen=True):
    """A problem in tokens, up to where the answer begins; or why it cannot be asked."""

    number: int
    problem: Problem
    ids: Ids | None
    error: str | None = None


def run_task(
    task: ChatTask,
    folder: Path,
    engine: GPTEngine,
    settings: ChatSettings,
    observe: Callable[[Item, int], None] = lambda item, total: None,
) -> Result:
    """The accuracy of a model at a task; ``observe`` is called with each item's record and the number of all.

    A problem that cannot be asked counts as wrong, and its record says why.
    """
    problems = task.items(folder, settings.max_problems)
    choice = bool(problems[0].letters)
    asked = [_asked(engine, number, problem, room=not choice) for number, problem in enumerate(problems)]
    possible = [each for each in asked if each.ids is not None]
    items = [_item(each, [], False) for each in asked if each.ids is None]
    for item in items:
        observe(item, len(problems))
    for item in (_by_letter if choice else _by_writing)(task, engine, settings, possible):
        items.append(item)
        observe(item, len(problems))
    return _result(task, items)


def _asked(engine: GPTEngine, number: int, problem: Problem, room: bool) -> _Asked:
    messages = [{"role": "user", "content": problem.prompt}, {"role": "assistant", "content": ""}]
    try:
        ids = render_for_completion(engine.tokenizer, {"messages": messages})
        if room and len(ids) >= engine.config.sequence_len:
            raise PromptTooLong(len(ids), engine.config.sequence_len - 1)
    except NanochatError as error:
        return _Asked(number, problem, None, str(error))
    return _Asked(number, problem, ids)


def _by_letter(task: ChatTask, engine: GPTEngine, settings: ChatSettings, asked: Sequence[_Asked]) -> Iterator[Item]:
    """The letter of each problem whose token the model expects most, of the problem's letters."""
    predictor = Predictor.of(engine)
    for start in range(0, len(asked), settings.batch_size):
        some = asked[start : start + settings.batch_size]
        texts = [each.ids for each in some if each.ids is not None]
        found = predictor.logits(texts, [(len(text), len(text) + 1) for text in texts])
        for each, logits in zip(some, found, strict=True):
            letters = each.problem.letters
            letter = letters[int(logits[0][_letter_ids(engine.tokenizer, letters)].argmax())]
            yield _item(each, [letter], task.judge(each.problem, Answer(letter)))


def _letter_ids(tokenizer: BpeTokenizer, letters: Sequence[str]) -> list[int]:
    return [int(tokenizer.encode(letter)[0]) for letter in letters]


def _by_writing(task: ChatTask, engine: GPTEngine, settings: ChatSettings, asked: Sequence[_Asked]) -> Iterator[Item]:
    """Answers of all problems, which go on together; a problem's item comes when its last answer has ended."""
    tokenizer, count = engine.tokenizer, settings.num_samples
    sampling = Sampling(
        max_tokens=settings.max_new_tokens,
        temperature=settings.temperature,
        top_k=settings.top_k,
        seed=settings.seed,
    )
    stop = stop_ids(tokenizer)
    of_problem = {
        Generation(each.ids.tolist(), sampling, stop=stop, tool=Tool(tokenizer), sample=each.number * count + k): each
        for each in asked
        if each.ids is not None
        for k in range(count)
    }
    ended: dict[int, list[Answer]] = defaultdict(list)
    for changed in steps(engine, list(of_problem)):
        for generation in changed:
            if generation.finish_reason is None or generation not in of_problem:
                continue
            each = of_problem.pop(generation)
            ended[each.number].append(answer_of(tokenizer, generation.tokens))
            if len(ended[each.number]) == count:
                answers = ended.pop(each.number)
                right = any(task.judge(each.problem, answer) for answer in answers)
                yield _item(each, [answer.text for answer in answers], right)


def answer_of(tokenizer: BpeTokenizer, tokens: Sequence[int]) -> Answer:
    """Tokens of an answer as a judge reads them."""
    reader = AnswerText(tokenizer)
    spans = [*reader.feed(tokens), *reader.end()]
    return Answer(tokenizer.decode(tokens), spans)


def _item(asked: _Asked, outputs: list[str], right: bool) -> Item:
    problem = asked.problem
    return Item(
        number=asked.number,
        group=problem.group,
        prompt=problem.prompt,
        outputs=outputs,
        gold=problem.gold,
        right=right,
        error=asked.error,
    )


def _result(task: ChatTask, items: Sequence[Item]) -> Result:
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[item.group].append(item)
    whole = part(items, task.baseline)
    return Result(
        benchmark=task.name,
        metric="accuracy",
        score=whole.accuracy,
        items=whole.items,
        right=whole.right,
        errors=whole.errors,
        baseline=task.baseline,
        parts={name: part(group, task.baseline) for name, group in sorted(groups.items()) if name},
    )
