"""Against the programs themselves: PyTorch, transformers, and karpathy/nanochat's own code.

The last is looked for where NANOCHAT_NP_UPSTREAM says: a checkout of commit 92d63d4.
"""

import os
import sys

import numpy as np
import pytest

from nanochat_np.interop import huggingface, upstream
from nanochat_np.interop.huggingface_tokenizer import read_huggingface_tokenizer, write_huggingface_tokenizer
from nanochat_np.interop.torch_file import read_torch_file
from nanochat_np.interop.torch_writer import write_torch_file
from nanochat_np.interop.upstream_tokenizer import read_upstream_tokenizer, write_upstream_tokenizer
from nanochat_np.nn import gpt
from tests.interop.models import CLASSIC, CURRENT, TOKENIZER, assert_same_weights, model, tokens
from tests.text.vocabulary import small_tokenizer

pytestmark = [pytest.mark.interop, pytest.mark.filterwarnings("default")]
LIMIT = 2e-5
TEXT = "Once upon a time, 12345 naïve cats: it's <|bos|> done.\n\n\tYes 😀"


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def nanochat(tmp_path_factory, torch):
    """The modules of upstream, which look for their files in a folder of ours."""
    checkout = os.environ.get("NANOCHAT_NP_UPSTREAM")
    if not checkout:
        pytest.skip("NANOCHAT_NP_UPSTREAM names no checkout of karpathy/nanochat")
    base = tmp_path_factory.mktemp("base")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NANOCHAT_BASE_DIR", str(base))
        patch.setenv("NANOCHAT_DTYPE", "float32")
        patch.syspath_prepend(checkout)
        from nanochat import checkpoint_manager, gpt, tokenizer

        yield {"manager": checkpoint_manager, "gpt": gpt, "tokenizer": tokenizer, "base": base}
    for name in [name for name in sys.modules if name.split(".")[0] == "nanochat"]:
        del sys.modules[name]


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("mmap", [True, False])
def test_torch_loads_what_is_written(torch, tmp_path, weights_only, mmap):
    rng = np.random.default_rng(0)
    arrays = {
        "matrix": rng.standard_normal((3, 5)).astype(np.float32).T,
        "double": rng.standard_normal(4),
        "counts": np.arange(7, dtype=np.int32),
        "scalar": np.float32(2.5).reshape(()),
        "empty": np.zeros((0, 2), np.float32),
    }
    write_torch_file(tmp_path / "model.pt", arrays)
    found = torch.load(tmp_path / "model.pt", weights_only=weights_only, mmap=mmap)
    assert list(found) == list(arrays)
    for name, value in arrays.items():
        np.testing.assert_array_equal(found[name].numpy(), value, strict=True)


def test_what_torch_saves_is_read(torch, tmp_path):
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(70, 30), torch.nn.Embedding(50, 8).to(torch.bfloat16))
    torch.save(module.state_dict(), tmp_path / "model.pt")
    found = read_torch_file(tmp_path / "model.pt")
    assert list(found) == list(module.state_dict())
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(found[name], value.float().numpy())


def test_upstream_computes_the_same_from_an_export(nanochat, torch):
    ours = model(CURRENT)
    upstream.write(nanochat["base"] / "base_checkpoints" / "d2", ours)
    write_upstream_tokenizer(nanochat["base"] / "tokenizer", TOKENIZER)
    theirs, tokenizer, meta = nanochat["manager"].load_model("base", torch.device("cpu"), phase="eval")
    with torch.no_grad():
        found = theirs(torch.from_numpy(tokens(CURRENT))).numpy()
    difference = np.abs(found - gpt.logits(ours.weights, CURRENT, tokens(CURRENT))).max()
    print(f"\nupstream from our export: logits differ by {difference:.2e} (largest {np.abs(found).max():.1f})")
    assert difference <= LIMIT
    assert meta["step"] == ours.step
    assert tokenizer.encode(TEXT, prepend="<|bos|>") == TOKENIZER.encode(TEXT, TOKENIZER.bos).tolist()
    sizes = nanochat["tokenizer"].get_token_bytes()
    assert sizes.dtype == torch.int32
    assert sizes.tolist() == TOKENIZER.token_bytes().tolist()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_checkpoint_of_upstream_computes_the_same_here(nanochat, torch, tmp_path, dtype):
    fields = {name: getattr(CURRENT, name) for name in nanochat["gpt"].GPTConfig.__dataclass_fields__}
    torch.manual_seed(0)
    theirs = nanochat["gpt"].GPT(nanochat["gpt"].GPTConfig(**fields))
    theirs.init_weights()
    with torch.no_grad():
        for value in theirs.parameters():
            value.add_(0.1 * torch.randn_like(value))
    for table in (theirs.transformer.wte, *theirs.value_embeds.values()):
        table.to(getattr(torch, dtype))
    state = {f"_orig_mod.{name}": value for name, value in theirs.state_dict().items()}
    meta = {"step": 12, "val_bpb": 1.5, "model_config": fields, "loop_state": {"min_val_bpb": float("inf")}}
    nanochat["manager"].save_checkpoint(str(tmp_path), 12, state, {"state": {}}, meta)
    ours = upstream.read(tmp_path, None)
    assert ours.config == CURRENT
    with torch.no_grad():
        expected = theirs.float()(torch.from_numpy(tokens(CURRENT))).numpy()
    difference = np.abs(expected - gpt.logits(ours.weights, ours.config, tokens(CURRENT))).max()
    print(f"\nours from upstream's {dtype} checkpoint: logits differ by {difference:.2e}")
    assert difference <= LIMIT


def test_the_tokenizer_of_upstream_itself(nanochat, tmp_path):
    ours = small_tokenizer()
    write_upstream_tokenizer(tmp_path / "ours", ours)
    theirs = nanochat["tokenizer"].RustBPETokenizer.from_directory(str(tmp_path / "ours"))
    assert theirs.get_vocab_size() == ours.vocab_size
    assert theirs.encode(TEXT) == ours.encode(TEXT).tolist()
    assert theirs.decode(theirs.encode(TEXT)) == TEXT
    theirs.save(str(tmp_path / "theirs"))
    assert read_upstream_tokenizer(tmp_path / "theirs" / "tokenizer.pkl") == ours


@pytest.fixture
def folder(tmp_path):
    """A Hugging Face folder of the classic model."""
    huggingface.write(tmp_path, CLASSIC, model(CLASSIC).weights, TOKENIZER.bos)
    write_huggingface_tokenizer(tmp_path, TOKENIZER, CLASSIC.sequence_len)
    return tmp_path


def test_transformers_computes_the_same_from_an_export(torch, folder):
    transformers = pytest.importorskip("transformers")
    theirs, info = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    idx = torch.from_numpy(tokens(CLASSIC))
    with torch.no_grad():
        found = theirs.eval()(idx).logits.numpy()
    difference = np.abs(found - gpt.logits(model(CLASSIC).weights, CLASSIC, tokens(CLASSIC))).max()
    print(f"\ntransformers from our export: logits differ by {difference:.2e} (largest {np.abs(found).max():.1f})")
    assert difference <= LIMIT
    assert theirs.generation_config.eos_token_id == [TOKENIZER.bos, TOKENIZER.special_ids["<|assistant_end|>"]]
    assert theirs.generate(idx, max_new_tokens=3, do_sample=False).shape[1] <= 153


def test_transformers_has_the_same_tokens(folder):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert len(theirs) == TOKENIZER.vocab_size
    assert theirs.bos_token_id == TOKENIZER.bos
    text = TEXT.replace("<|bos|>", "")
    assert theirs(text)["input_ids"] == TOKENIZER.encode(text).tolist()
    assert theirs("<|bos|>a")["input_ids"] == [TOKENIZER.bos, ord("a")]
    assert theirs.decode(theirs(text)["input_ids"]) == text


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_transformers_saves_is_read(torch, folder, tmp_path_factory, dtype):
    transformers = pytest.importorskip("transformers")
    again = tmp_path_factory.mktemp("saved")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).to(getattr(torch, dtype))
    theirs.save_pretrained(again, max_shard_size="20KB")
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(again)
    assert len(list(again.glob("*.safetensors"))) > 1
    found = huggingface.read(again)
    assert found.config == CLASSIC
    expected = {}
    for name, value in model(CLASSIC).weights.items():
        expected[name] = torch.from_numpy(value.copy()).to(getattr(torch, dtype)).float().numpy()
        if name in ("transformer.wte.weight", "lm_head.weight"):
            expected[name][CLASSIC.vocab_size :] = 0  # their tables have no padding
    assert_same_weights(found.weights, expected)
    assert read_huggingface_tokenizer(again / "tokenizer.json") == TOKENIZER
