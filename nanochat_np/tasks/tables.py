"""Tables that are written as text."""

import itertools
import re


def listed(text: str) -> tuple[str, ...]:
    """The phrases between semicolons, spaces and line breaks around them aside."""
    return tuple(" ".join(phrase.split()) for phrase in text.split(";"))


def paired(text: str) -> dict[str, str]:
    """``"a = b; ..."`` as a dict."""
    return {a.strip(): b.strip() for a, _, b in (phrase.partition("=") for phrase in listed(text))}


def expanded(text: str) -> tuple[str, ...]:
    """`listed`, with every choice of ``[a|b|]`` in a phrase written out; each phrase once, in order."""
    found = (
        " ".join("".join(parts).split()) for phrase in listed(text) for parts in itertools.product(*_parts(phrase))
    )
    return tuple(dict.fromkeys(found))


def _parts(phrase: str) -> list[list[str]]:
    """What may stand at each place: texts outside of brackets are a single choice."""
    return [part.split("|") if i % 2 else [part] for i, part in enumerate(re.split(r"[\[\]]", phrase))]
