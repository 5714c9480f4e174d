import doctest
import re
from pathlib import Path

import pytest

from nanochat_np.scalar import value

PAGE = Path(__file__).parents[2] / "docs" / "scalar_autograd.md"
EXAMPLES = {
    "docstring": value.Value.__doc__,
    "page": "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)),
}


@pytest.mark.parametrize("where", EXAMPLES)
def test_examples(where):
    examples = doctest.DocTestParser().get_doctest(EXAMPLES[where], {"Value": value.Value}, where, None, 0)
    assert examples.examples
    assert doctest.DocTestRunner().run(examples).failed == 0


def test_the_table_of_the_page():
    """The tape of the first example, row for row."""
    with value.Tape() as tape:
        y = (value.Value(2.0) * value.Value(-3.0) + 7).relu()
        y.backward()
    rows = re.findall(r"^\| (\d) \| .* \| (\S+) \| (\S+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    nodes, values, grads = ([float(row[i]) for row in rows] for i in range(3))
    nodes = [int(node) for node in nodes]
    assert nodes == list(range(tape.recording.size))
    assert tape.values(nodes).tolist() == values
    assert tape.grads(nodes).tolist() == grads
