"""The special tokens: what begins a document, and what frames the turns of a conversation.

They have ids of their own after those of text, and no text is ever encoded to one.
"""

BOS = "<|bos|>"
USER_START, USER_END = "<|user_start|>", "<|user_end|>"
ASSISTANT_START, ASSISTANT_END = "<|assistant_start|>", "<|assistant_end|>"
PYTHON_START, PYTHON_END = "<|python_start|>", "<|python_end|>"  # a call of the tool, written by the assistant
OUTPUT_START, OUTPUT_END = "<|output_start|>", "<|output_end|>"  # what the tool answers

# In the order of their ids; the last of them is the last token of the vocabulary.
SPECIALS = (
    BOS,
    USER_START,
    USER_END,
    ASSISTANT_START,
    ASSISTANT_END,
    PYTHON_START,
    PYTHON_END,
    OUTPUT_START,
    OUTPUT_END,
)
