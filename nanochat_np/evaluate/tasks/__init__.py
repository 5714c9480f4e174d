"""Tasks that a chat model is asked one problem at a time: one a file, each a `task.ChatTask`."""

from collections.abc import Mapping

from nanochat_np.evaluate.tasks.arc import ARC_CHALLENGE, ARC_EASY
from nanochat_np.evaluate.tasks.generated import GENERATED_TASKS
from nanochat_np.evaluate.tasks.gsm8k import GSM8K
from nanochat_np.evaluate.tasks.humaneval import HUMANEVAL
from nanochat_np.evaluate.tasks.mmlu import MMLU
from nanochat_np.evaluate.tasks.task import Answer, ChatTask, Problem

CHAT_TASKS: Mapping[str, ChatTask] = {task.name: task for task in (ARC_EASY, ARC_CHALLENGE, MMLU, GSM8K, HUMANEVAL)}

__all__ = ["CHAT_TASKS", "GENERATED_TASKS", "Answer", "ChatTask", "Problem"]
