"""Results of several models side by side, as Markdown and for a terminal."""

from collections.abc import Iterable, Mapping, Sequence

from nanochat_np.evaluate.result import Result

Results = Mapping[str, Mapping[str, Result]]  # by label of the model, then by benchmark


def cell(result: Result | None) -> str:
    """A score as it is read: a percentage of accuracy, or a number."""
    if result is None:
        return ""
    if result.failed is not None or result.score is None:
        return "FAILED"
    return f"{100 * result.score:.2f} %" if result.metric == "accuracy" else f"{result.score:.4f}"


def scores(results: Results) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of benchmarks by models."""
    names = _in_order(names for each in results.values() for names in each)
    metrics = {name: result.metric for each in results.values() for name, result in each.items()}
    rows = [[f"{name}, {metrics[name]}", *(cell(each.get(name)) for each in results.values())] for name in names]
    return ["benchmark", *results], rows


def parts(results: Results, benchmark: str) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of a benchmark's parts by models: accuracy, and what it is centered."""
    found = {label: each[benchmark].parts if benchmark in each else {} for label, each in results.items()}
    names = _in_order(name for each in found.values() for name in each)
    rows = []
    for name in names:
        row = [name]
        for each in found.values():
            part = each.get(name)
            row += [f"{100 * part.accuracy:.2f} %", f"{part.centered:.4f}"] if part else ["", ""]
        rows.append(row)
    return ["part", *(word for label in found for word in (label, "centered"))], rows


def failures(results: Results) -> list[str]:
    """A line for each benchmark that failed, with its reason."""
    return [
        f"{label}: {name}: {result.failed}"
        for label, each in results.items()
        for name, result in each.items()
        if result.failed is not None
    ]


def unasked(results: Results) -> list[str]:
    """A line for each benchmark with items that could not be asked."""
    return [
        f"{label}: {name}: {result.errors} of {result.items} could not be asked and count as wrong, see its items"
        for label, each in results.items()
        for name, result in each.items()
        if result.errors
    ]


def with_parts(results: Results) -> list[str]:
    """The benchmarks that have parts."""
    return _in_order(name for each in results.values() for name, result in each.items() if result.parts)


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def bullets(lines: Sequence[str]) -> str:
    """Lines of a Markdown list."""
    return "\n".join(f"- {line}" for line in lines)
