"""Byte pair encoding as its definition says, in plain loops: slow, and independent of the libraries."""

from collections import Counter
from itertools import pairwise

import regex

from nanochat_np.text.split import SPLIT_PATTERN

CUTS = regex.compile(SPLIT_PATTERN)


def chunks(text):
    """What pairs are counted and merged in, as tuples of ids; it begins with the bytes."""
    return [tuple(chunk.encode()) for chunk in CUTS.findall(text)]


def merged(ids, pair, new):
    """``ids`` with every ``pair``, from the left, as ``new``."""
    result, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            result.append(new)
            i += 2
        else:
            result.append(ids[i])
            i += 1
    return tuple(result)


def train(texts, merges):
    """The bytes of each token after ``merges`` merges, or fewer; of equal pairs the smaller ids are first."""
    words = Counter(chunk for text in texts for chunk in chunks(text))
    tokens = [bytes([value]) for value in range(256)]
    for _ in range(merges):
        counts = Counter()
        for word, times in words.items():
            for pair in pairwise(word):
                counts[pair] += times
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        new = len(tokens)
        tokens.append(tokens[best[0]] + tokens[best[1]])
        renewed = Counter()
        for word, times in words.items():
            renewed[merged(word, best, new)] += times
        words = renewed
    return tuple(tokens)


def encode(text, tokens):
    """Ids of ``text``: in each chunk, the neighbours that make the earliest token are merged until none make one."""
    rank = {token: index for index, token in enumerate(tokens)}
    found = []
    for chunk in chunks(text):
        parts = [tokens[value] for value in chunk]
        while len(parts) > 1:
            made = [rank.get(left + right, len(tokens)) for left, right in pairwise(parts)]
            if min(made) == len(tokens):
                break
            at = made.index(min(made))
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        found += [rank[part] for part in parts]
    return found
