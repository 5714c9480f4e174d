"""Use of a GPT: infer, chat."""

from typing import Annotated

import msgspec
from msgspec import Meta

from nanochat_np.config.common import Common, DeviceName, Folder, Products, Quantize, spelled_out
from nanochat_np.errors import ConfigError


class Writing(Common, frozen=True, kw_only=True):
    """Model and text."""

    checkpoint: Annotated[
        Folder | None, Meta(description="folder of a run or of a checkpoint (default: the newest run under results/)")
    ] = None
    system: Annotated[str | None, Meta(description="what the assistant is told before the conversation")] = None
    temperature: Annotated[float, Meta(ge=0, le=2, description="0 is the likeliest text, 1 as the model means it")] = (
        0.8
    )
    top_k: Annotated[int, Meta(ge=0, description="draw among the k likeliest; 0 is all")] = 50
    top_p: Annotated[float, Meta(gt=0, le=1, description="draw among the likeliest that hold this probability")] = 0.9
    min_p: Annotated[float, Meta(ge=0, le=1, description="drop what is below this share of the likeliest")] = 0.0
    repetition_penalty: Annotated[
        float, Meta(gt=0, le=10, description="above 1: tokens that were there before become less likely")
    ] = 1.0
    max_tokens: Annotated[int, Meta(ge=1, le=4096, description="tokens of an answer at most")] = 256
    stop: Annotated[
        str | None, Meta(description='end before this text; several as JSON: ["one", "two"]; JSON knows "\\n"')
    ] = None
    tool: Annotated[bool, Meta(description="calculate what the assistant asks its calculator")] = True
    seed: Annotated[int, Meta(ge=0, description="seed of the draws")] = 1337
    device: DeviceName = "auto"
    dtype: Products = "float32"
    quantize: Quantize = "float32"

    def __post_init__(self) -> None:
        spelled_out(self)


class InferConfig(Writing, frozen=True, kw_only=True):
    """Answer one prompt, or continue it, as it comes; the prompt is the argument, or what is piped in.

    Examples:
      python -m nanochat_np infer "How many r are in strawberry?"
      python -m nanochat_np infer "Once upon a time" --no-chat --max-tokens 100
      python -m nanochat_np infer "What is 12 times 34?" --checkpoint results/my_run --temperature 0 --json
    """

    prompt: Annotated[str | None, Meta(description="the text (default: from stdin)", extra={"positional": True})] = None
    chat: Annotated[
        bool | None,
        Meta(
            description="answer the prompt as the message of a user, or --no-chat: continue it as a document (default: "
            "as the model was trained, answer after midtrain, sft or rl)"
        ),
    ] = None
    num_samples: Annotated[int, Meta(ge=1, le=128, description="how many answers, side by side")] = 1
    stream: Annotated[bool, Meta(description="show the text as it is written")] = True
    truncate_prompt: Annotated[bool, Meta(description="keep the end of a prompt that is too long")] = False


class ChatConfig(Writing, frozen=True, kw_only=True):
    """Talk to a GPT in the terminal; /help tells what else one can say. In a pipe each line is a message.

    Examples:
      python -m nanochat_np chat
      python -m nanochat_np chat --checkpoint results/my_run --system "You are a pirate." --temperature 0.6
    """


def stop_strings(text: str | None) -> tuple[str, ...]:
    """What ``--stop`` means: nothing, one text, or several as a JSON array.  Raises ConfigError."""
    if text is None:
        return ()
    texts: tuple[str, ...] = (text,)
    if text.startswith(('["', "[]")):
        try:
            texts = msgspec.json.decode(text, type=tuple[str, ...])
        except msgspec.DecodeError as error:
            raise ConfigError(f"--stop {text}: no JSON array of texts: {error}") from None
    if "" in texts:
        raise ConfigError("--stop: an empty text would end every answer before it begins: leave it out")
    return texts
