"""A tokenizer for tests, trained once: it knows common words and spaces, and every byte besides."""

import functools

from hypothesis import strategies as st

from nanochat_np.data.stories import stories
from nanochat_np.text.bpe_training import train_bpe
from nanochat_np.text.special import SPECIALS


@functools.cache
def small_tokenizer():
    return train_bpe([*stories(20_000), "x = 12345  # naïve 😀\n\n\tindeed     it's"], 600)


# What a text is made of that might be taken for something else: names of special tokens, their parts, odd spaces.
_AWKWARD = [
    *SPECIALS,
    "<|",
    "|>",
    "bos",
    "\0",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "\u3000",
    "\x85",
    "'s",
    "'LL",
    "ſ",
    "12345",
]
texts = st.lists(st.one_of(st.sampled_from(_AWKWARD), st.text(max_size=8))).map("".join)
