"""``infer`` as its user meets it."""

import io
import json
import os
import sys

import pytest

from nanochat_np import kernels
from nanochat_np.backend.device import Device
from nanochat_np.commands import answer_view, infer, writing
from nanochat_np.infer.sampling import Sampling
from tests.commands.writer import Assistant, call_of_the_tool, save_gpt, stand_in
from tests.infer.tiny import CONFIG
from tests.train.lab import contents

SHORT = ("--max-tokens=5", "--temperature=0")


def pipe(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


def spoken(text):
    return Assistant(lambda prompt: list(text.encode()))


def test_the_summary_and_what_a_person_reads(lab):
    path = save_gpt("results/run")
    result = lab("infer", "--json", "ab", *SHORT)
    summary = result.summary
    (answer,) = summary.pop("answers")
    for name in ("load_seconds", "first_token_seconds", "tokens_per_sec"):
        assert summary.pop(name) > 0
    assert summary == {
        "command": "infer",
        "schema": 1,
        "checkpoint": str(path),
        "stage": "pretrain",
        "step": 7,
        "device": "cpu",
        "chat": False,
        "prompt_tokens": 3,
    }
    assert answer["tokens"] == 5
    assert answer["finish_reason"] == "length"
    assert answer["parts"] == [{"type": "text", "text": answer["text"]}]
    assert lab("infer", "--prompt=ab", *SHORT).out == answer["text"] + "\n"
    assert lab("infer", "ab", *SHORT, "--nostream", "--quiet").out == answer["text"] + "\n"
    before = contents(path)
    assert lab("sample", "--prompt=ab", "--max-new-tokens=5", "--greedy").out == "ab" + answer["text"] + "\n"
    assert contents(path) == before


def test_the_prompt_may_be_piped_in(lab, monkeypatch):
    save_gpt("results/run")
    by_argument = lab("infer", "aé", *SHORT).out
    for content in ("aé\n", "aé\r\n", "aé"):
        pipe(monkeypatch, content.encode())
        assert lab("infer", *SHORT).out == by_argument
    pipe(monkeypatch, b"ab\xff")
    assert lab("infer", *SHORT).error(2) == "error: stdin: not valid UTF-8 at byte 2"


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_no_prompt(lab, monkeypatch, text):
    assert "the prompt is empty: give a text" in lab("infer", text).error(1)
    pipe(monkeypatch, text.encode())
    assert "the prompt is empty: give a text" in lab("infer").error(1)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    assert 'infer needs a prompt: write infer "TEXT"' in lab("infer").error(1)
    monkeypatch.setattr(sys, "stdin", None)
    assert "infer needs a prompt" in lab("infer").error(1)


def test_a_model_of_conversations_answers_and_another_continues(lab, monkeypatch):
    assistant = stand_in(monkeypatch, spoken("Hello!"))
    asked = "<|bos|><|user_start|>Hi<|user_end|><|assistant_start|>"
    assert lab("infer", "Hi").out == "Hello!\n"
    lab("infer", "Hi", "--system=Be kind.")
    assert lab("infer", "Hi", "--nochat", "--max-tokens=3").out == "Hel\n"
    told = "<|bos|><|user_start|>Be kind.\n\nHi<|user_end|><|assistant_start|>"
    assert assistant.prompts == [asked, told, "<|bos|>Hi"]
    stand_in(monkeypatch, assistant, stage="pretrain")
    lab("infer", "Hi", "--chat")
    assert assistant.prompts[-1] == asked
    for flag, name in (("--system=x", "--system"), ("--notool", "--tool")):
        assert f"{name} does nothing where the text is continued" in lab("infer", "Hi", flag).error(1)


def test_calls_of_the_tool(lab, monkeypatch):
    forced = 2 + len("408")  # tokens that the tool puts in
    stand_in(monkeypatch, Assistant(lambda _: [*b"It is ", *call_of_the_tool("12*34"), *([0] * forced), *b"."]))
    assert lab("infer", "?").out == "It is [12*34 = 408].\n"
    (answer,) = lab("infer", "?", "--json").summary["answers"]
    assert answer["text"] == "It is ."
    assert [part["type"] for part in answer["parts"]] == ["text", "python", "python_output", "text"]
    monkeypatch.setattr(answer_view, "on_terminal", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert lab("infer", "?").out == "It is \x1b[2m[12*34 = 408]\x1b[0m.\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert lab("infer", "?").out == "It is [12*34 = 408].\n"
    stand_in(monkeypatch, Assistant(lambda _: [*call_of_the_tool("12*34"), *([0] * forced), *b"Done", *b"!"]))
    assert lab("infer", "?").out == "[12*34 = 408] Done!\n"
    stand_in(monkeypatch, Assistant(lambda prompt: [*b"It is ", *call_of_the_tool("12*34"), *b"."]))
    assert lab("infer", "?", "--notool").out == "It is [12*34].\n"
    stand_in(monkeypatch, Assistant(lambda prompt: call_of_the_tool("12*34")[:-1]))
    assert lab("infer", "?").out == "[12*34]\n"


def test_what_a_terminal_would_obey_is_shown(lab, monkeypatch):
    stand_in(monkeypatch, spoken("\x1b[2Ja\x07\tb\n\x9bc"))
    assert lab("infer", "?").out == "\x1b[2Ja\x07\tb\n\x9bc\n"
    monkeypatch.setattr(answer_view, "on_terminal", lambda: True)
    assert lab("infer", "?").out == "␛[2Ja␇\tb\n\N{REPLACEMENT CHARACTER}c\n"


def test_stop_strings(lab, monkeypatch):
    stand_in(monkeypatch, spoken("one two\nthree"))
    for flag, text, tokens in (
        ("--stop=two", "one ", 7),
        ('--stop=["x", "\\n"]', "one two", 8),
        ("--stop=[", "one two\nthree", 13),
        ("--stop=[]", "one two\nthree", 13),
    ):
        (answer,) = lab("infer", "?", "--json", flag).summary["answers"]
        assert (answer["text"], answer["finish_reason"], answer["tokens"]) == (text, "stop", tokens)
    for wrong in ('["a", 3]', '["a"'):
        assert f"--stop {wrong}: no JSON array of texts" in lab("infer", "?", f"--stop={wrong}").error(1)
    assert "--stop: an empty text" in lab("infer", "?", "--stop=").error(1)


def test_several_answers(lab):
    save_gpt("results/run")
    flags = ("ab", "--max-tokens=6", "--num-samples=20", "--seed=3", "--chat")

    def written(*flags):
        answers = lab("infer", *flags, "--json").summary["answers"]
        return [
            "".join(part["text"] if part["type"] == "text" else f"[{part['text']}]" for part in answer["parts"])
            for answer in answers
        ]

    texts = written(*flags)
    assert len(texts) == 20
    assert len(set(texts)) > 10
    for more in ((), ("--nostream", "--quiet")):
        assert lab("infer", *flags, *more).out == "\n--------\n".join(texts) + "\n"
    assert written(*flags[:2], *flags[3:]) == texts[:1]
    assert written("ab", "--max-tokens=6", "--seed=4", "--chat") != texts[:1]


def test_every_flag_about_tokens_arrives(lab, monkeypatch):
    seen = []
    make = infer.Generation

    def remembered(prompt, sampling, **named):
        seen.append((sampling, named["sample"]))
        return make(prompt, sampling, **named)

    monkeypatch.setattr(infer, "Generation", remembered)
    stand_in(monkeypatch, Assistant(lambda prompt: list(b"hi"), slots=2))
    flags = ("--max-tokens=9", "--temperature=0.5", "--top-k=4", "--top-p=0.7", "--min-p=0.1", "--seed=2")
    lab("infer", "x", *flags, "--repetition-penalty=1.5", "--num-samples=2")
    expected = Sampling(max_tokens=9, temperature=0.5, top_k=4, top_p=0.7, min_p=0.1, seed=2, repetition_penalty=1.5)
    assert seen == [(expected, 0), (expected, 1)]
    lab("infer", "x")
    assert seen[2] == (Sampling(max_tokens=256, temperature=0.8, top_k=50, top_p=0.9, seed=1337), 0)


def test_flags_of_the_engine_arrive(lab, monkeypatch):
    save_gpt("results/run")
    load, seen = writing.load_engine, []
    monkeypatch.setattr(writing, "load_engine", lambda *a, **named: seen.append(named) or load(*a, **named))
    for flags in (("--num-samples=3",), ("--dtype=bf16", "--num-samples=99", "--quantize=int8")):
        assert lab("infer", "x", "--max-tokens=1", *flags).code == 0
    assert seen == [
        {"slots": 3, "precision": "float32", "quantize": "float32"},
        {"slots": 16, "precision": "bfloat16", "quantize": "int8"},
    ]
    monkeypatch.setattr(writing, "select_device", lambda flag: Device(0))
    assert "--dtype bfloat16: a GPU multiplies in float32" in lab("infer", "x", "--dtype=bfloat16").error(1)


def test_long_prompts(lab):
    save_gpt("results/run")
    most = CONFIG.sequence_len - 2
    assert lab("infer", "x" * most, "--json").summary["answers"][0]["tokens"] <= 1
    message = lab("infer", "x" * (most + 1)).error(1)
    assert f"--prompt has {most + 1} tokens, this model takes at most {most}: shorten it" in message
    assert message.endswith("--truncate-prompt")
    kept = ("é" + "y" * most, "--truncate-prompt", "--json", *SHORT)
    assert lab("infer", *kept).summary["prompt_tokens"] == CONFIG.sequence_len - 5
    message = lab("infer", "x" * 40, "--chat").error(1)
    assert f"--prompt has 44 tokens, this model takes at most {CONFIG.sequence_len - 1}" in message
    summary = lab("infer", "x" * 40, "--chat", "--truncate-prompt", "--json").summary
    assert summary["prompt_tokens"] == CONFIG.sequence_len - CONFIG.sequence_len // 4
    flags = ("x", "--chat", "--truncate-prompt", f"--system={'s' * 40}")
    assert "--prompt has 4" in lab("infer", *flags).error(1)


def test_text_appears_as_it_is_written(lab, monkeypatch):
    """Each piece is printed before the next token is computed."""
    order = []
    monkeypatch.setattr(answer_view, "out", lambda text, end="\n": order.append(text + end))
    stand_in(monkeypatch, Assistant(lambda prompt: list("aé".encode()), watch=lambda written: order.append(None)))
    lab("infer", "?")
    assert order == [None, "a", None, None, "é", None, "\n"]
    order.clear()
    lab("infer", "?", "--nostream", "--quiet")
    assert order == [None] * 4 + ["a", "é", "\n"]


def test_a_bar_where_the_text_waits(lab, monkeypatch):
    stand_in(monkeypatch, spoken("abc"))
    assert "step 1/9" in lab("infer", "?", "--nostream", "--max-tokens=9").err
    assert lab("infer", "?", "--nostream", "--quiet").err == lab("infer", "?").err == ""


def test_ctrl_c_leaves_what_was_written(lab, monkeypatch):
    def watch(written):
        if len(written) == 3:
            raise KeyboardInterrupt

    stand_in(monkeypatch, Assistant(lambda prompt: list(b"abcdef"), watch=watch))
    result = lab("infer", "?")
    assert (result.code, result.out, result.err) == (130, "abc\n", "interrupted\n")
    result = lab("infer", "?", "--json")
    assert result.code == 130
    assert json.loads(result.out)["error"]["type"] == "Interrupted"


BAD = {
    "--temperature=2.1": "expected a number, at least 0 and at most 2",
    "--temperature=nan": "--temperature nan",
    "--top-k=-1": "--top-k -1",
    "--top-p=0": "--top-p 0",
    "--max-tokens=0": "--max-tokens 0",
    "--max-tokens=4097": "--max-tokens 4097",
    "--min-p=2": "--min-p 2",
    "--repetition-penalty=0": "--repetition-penalty 0",
    "--dtype=float16": "--dtype float16",
    "--strem": "did you mean --stream?",
}


@pytest.mark.parametrize("flag", BAD)
def test_bad_flags(lab, flag):
    assert BAD[flag] in lab("infer", "x", flag).error(1)


def test_which_checkpoint(lab):
    assert "no trained model under results/" in lab("infer", "x").error(4)
    assert "nowhere" in lab("infer", "x", "--checkpoint=nowhere").error(4)
    older, newer = save_gpt("results/a"), save_gpt("results/b")
    os.utime(newer.parent, (1, 1))
    assert lab("infer", "x", "--json", *SHORT).summary["checkpoint"] == str(older)
    assert lab("infer", "x", "--json", *SHORT, "--checkpoint=results/b").summary["checkpoint"] == str(newer)


def test_the_first_call_on_a_machine_says_that_it_compiles(lab, monkeypatch):
    save_gpt("results/run")
    monkeypatch.setattr(kernels, "are_cold", lambda: True)
    assert lab("infer", "x", *SHORT).err == "compiling the loops, once on this machine: some seconds\n"
    assert lab("infer", "x", *SHORT, "--quiet").err == ""


def test_a_model_of_the_lab_is_refused(lab):
    lab.trained("--model-kind=bigram", "--steps=1", "--out=results/bigram")
    assert "holds a model of the character lab: use sample" in lab("infer", "x").error(4)
