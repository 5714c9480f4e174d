"""``sample``: text from a trained model as it comes, by character or by token."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from nanochat_np.backend.device import Device, select_device
from nanochat_np.backend.random import stream
from nanochat_np.command_line.console import out
from nanochat_np.config import SampleConfig
from nanochat_np.errors import CheckpointError, ConfigError
from nanochat_np.infer.document import continue_prompt
from nanochat_np.infer.engine import Engine
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.infer.sampler import Sampler, check_temperature, greedy, random_sampler
from nanochat_np.infer.sampling import Sampling
from nanochat_np.infer.text import continue_text
from nanochat_np.text import bpe_file
from nanochat_np.text.character import CharTokenizer
from nanochat_np.train import checkpoint
from nanochat_np.train.locate import locate, newest_run
from nanochat_np.train.meta import CharacterMeta


class SampleSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Each of ``texts`` starts with the prompt and adds up to ``new_tokens`` tokens: characters, but for a GPT."""

    command: str = "sample"
    schema: int = 1
    checkpoint: str
    model_kind: str
    step: int
    device: str
    prompt: str
    temperature: float | None
    top_k: int
    top_p: float
    greedy: bool
    seed: int
    new_tokens: int
    texts: list[str]


def run(config: SampleConfig, given: frozenset[str]) -> SampleSummary:
    """Continue the prompt ``num_samples`` times, each with draws of its own."""
    if config.greedy:
        idle = sorted(given & {"temperature", "top_k", "top_p"})
        if idle:
            raise ConfigError(f"--{idle[0].replace('_', '-')} does nothing with --greedy: leave one of them out")
    else:
        check_temperature(config.temperature)
    device = select_device(config.device)
    folder = locate(Path(config.checkpoint) if config.checkpoint else newest_run(Path("results")))
    found = checkpoint.load(folder)
    kind = found.meta.model.kind if isinstance(found.meta, CharacterMeta) else "gpt"
    if config.model_kind not in (None, kind):
        raise CheckpointError(f"{folder}: holds a {kind}, not the {config.model_kind} asked for")
    write = _writer(config, found, folder, device)
    texts = []
    for number in range(config.num_samples):
        pieces = write(number)
        if number:
            out("-" * 8)
        texts.append(config.prompt + _shown(config.prompt, pieces))
    return SampleSummary(
        checkpoint=str(folder),
        model_kind=kind,
        step=found.meta.step,
        device=device.name,
        prompt=config.prompt,
        temperature=None if config.greedy else config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
        greedy=config.greedy,
        seed=config.seed,
        new_tokens=config.max_new_tokens,
        texts=texts,
    )


def _writer(
    config: SampleConfig, found: checkpoint.Checkpoint, folder: Path, device: Device
) -> Callable[[int], Iterator[str]]:
    """What continues the prompt for the sample of a number, a piece of text at a time."""
    prompt, count, truncate = config.prompt, config.max_new_tokens, config.truncate_prompt
    meta = found.meta
    if isinstance(meta, CharacterMeta):
        lab, characters, style = Engine(meta.model, found.weights, device), CharTokenizer(meta.characters), meta.style
        return lambda n: continue_text(lab, characters, style, prompt, count, _sampler(config, n), truncate)
    engine = GPTEngine(meta.model, found.weights, bpe_file.load(folder), device, slots=1)
    sampling = Sampling(
        max_tokens=count,
        temperature=0.0 if config.greedy else config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
        seed=config.seed,
    )
    return lambda n: continue_prompt(engine, prompt, sampling, n, truncate)


def _sampler(config: SampleConfig, number: int) -> Sampler:
    if config.greedy:
        return greedy
    return random_sampler(config.temperature, config.top_k, config.top_p, stream(config.seed, f"sampling/{number}"))


def _shown(prompt: str, pieces: Iterator[str]) -> str:
    """Print a text as it comes; returns what was added to the prompt."""
    out(prompt, end="")
    added = []
    for piece in pieces:
        out(piece, end="")
        added.append(piece)
    out("")
    return "".join(added)
