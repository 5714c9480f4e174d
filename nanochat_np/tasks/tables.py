"""Tables that are written as text."""


def listed(text: str) -> tuple[str, ...]:
    """The phrases between semicolons, spaces and line breaks around them aside."""
    return tuple(" ".join(phrase.split()) for phrase in text.split(";"))


def paired(text: str) -> dict[str, str]:
    """``"a = b; ..."`` as a dict."""
    return {a.strip(): b.strip() for a, _, b in (phrase.partition("=") for phrase in listed(text))}
