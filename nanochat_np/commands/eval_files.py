"""The files of an evaluation: OUT/report.md, summary.json, benchmarks/NAME.json and items/MODEL/NAME.jsonl."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from nanochat_np.backend.files import replace_file, told_as
from nanochat_np.errors import ConfigError, RunError
from nanochat_np.evaluate.items import Item
from nanochat_np.evaluate.report import Results, bullets, failures, parts, scores, unasked, with_parts
from nanochat_np.evaluate.result import Result
from nanochat_np.experiments.table import markdown_table, text_table


class EvalFiles:
    """Each file is whole or not there, but for the items, which grow."""

    def __init__(self, folder: Path) -> None:
        """Raises ConfigError where the folder cannot be made."""
        self.folder = folder
        with told_as(ConfigError, f"--out {folder}: cannot be written"):
            for name in ("benchmarks", "items"):
                (folder / name).mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def items(self, label: str, benchmark: str) -> Iterator[Callable[[Item], None]]:
        """A function that writes an item's record; a benchmark without items leaves no file."""
        path = self.folder / "items" / label / f"{benchmark}.jsonl"
        with contextlib.ExitStack() as stack:
            file = None

            def write(item: Item) -> None:
                nonlocal file
                with told_as(RunError, f"cannot write {path}"):
                    if file is None:
                        path.parent.mkdir(parents=True, exist_ok=True)
                        file = stack.enter_context(open(path, "wb"))
                    file.write(msgspec.json.encode(item) + b"\n")

            yield write

    def write_benchmark(self, name: str, results: Mapping[str, Result]) -> None:
        """One benchmark's results by model."""
        self._write_json(self.folder / "benchmarks" / f"{name}.json", {"benchmark": name, "models": results})

    def write_summary(self, summary: msgspec.Struct, invocation: str, results: Results) -> None:
        """The summary, and the report for a reader."""
        self._write_json(self.folder / "summary.json", summary)
        with told_as(RunError, "cannot write the report"):
            replace_file(self.folder / "report.md", markdown(invocation, results).encode())

    def _write_json(self, path: Path, content: object) -> None:
        with told_as(RunError, f"cannot write {path}"):
            replace_file(path, msgspec.json.format(msgspec.json.encode(content)) + b"\n")


def report(results: Results) -> str:
    """The table of scores and what went wrong, for a terminal."""
    return "\n".join([text_table(*scores(results)), *failures(results), *unasked(results)])


def markdown(invocation: str, results: Results) -> str:
    """The same as a page, with the parts of each benchmark that has some."""
    sections = [f"# Evaluation\n\n`{invocation}`", markdown_table(*scores(results))]
    if failed := failures(results):
        sections.append(f"## Failed\n\n{bullets(failed)}")
    if wrong := unasked(results):
        sections.append(f"## Not asked\n\n{bullets(wrong)}")
    for name in with_parts(results):
        sections.append(f"## {name}\n\n{markdown_table(*parts(results, name))}")
    sections.append("Definitions are in docs/evaluation.md, each item with its answer in items/.")
    return "\n\n".join(sections) + "\n"
