"""``data`` as its user meets it."""

import json
import os

import pytest

from nanochat_np.commands import data
from nanochat_np.data import shards
from nanochat_np.data.parquet import parquet_writer
from tests.data import file_server
from tests.data.file_server import Page


@pytest.fixture
def articles(tmp_path):
    """41 documents of 10 characters in a JSONL file."""
    lines = [json.dumps({"text": f"article {n:02}", "title": f"é{n}"}) + "\n" for n in range(41)]
    (tmp_path / "articles.jsonl").write_text("".join(lines))
    return tmp_path / "articles.jsonl"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with file_server.file_server() as server:
        yield server


def test_prepare_and_stats(lab, articles):
    prepared = lab("data", "prepare", "--data", "articles.jsonl", "--out", "made/shards", "--json", "--quiet")
    assert prepared.err == ""
    summary = prepared.summary
    assert summary.pop("seconds") > 0
    assert summary == {
        "command": "data",
        "schema": 1,
        "action": "prepare",
        "data": "articles.jsonl",
        "out": "made/shards",
        "shards": 1,
        "train_documents": 38,
        "train_characters": 380,
        "val_documents": 3,
        "val_characters": 30,
    }
    assert sorted(os.listdir("made")) == ["shards"]
    stats = lab("data", "stats", "made/shards", "--json").summary
    assert (stats["action"], stats["data"], stats["validation"]) == ("stats", "made/shards", "validation.parquet")
    assert [file["name"] for file in stats["files"]] == ["shard_00000.parquet", "validation.parquet"]
    assert {key: stats["total"][key] for key in ("documents", "characters", "bytes")} == {
        "documents": 41,
        "characters": 410,
        "bytes": 410,
    }
    assert stats["total"]["length_percentiles"] == {str(percent): 10 for percent in (1, 10, 25, 50, 75, 90, 99, 100)}


def test_what_a_person_reads(lab, articles):
    prepared = lab("data", "prepare", "articles.jsonl", "--out=shards", "--text-field=title")
    assert prepared.out.splitlines() == [
        "train       38 documents, 105 characters, in shards: 1",
        "validation  3 documents, 8 characters",
        "files       shards",
        "next        python -m nanochat_np data stats shards",
    ]
    assert "documents 41" in prepared.err
    lines = lab("data", "stats", "shards").out.splitlines()
    assert lines[0].split()[:4] == ["file", "documents", "characters", "bytes"]
    assert lines[1].split() == ["10", "%", "50", "%", "90", "%", "100", "%"]
    assert lines[3].split() == ["validation.parquet", "(validation)", "3", "8", "11", "2", "3", "3", "3"]
    assert lines[4].split()[0] == "total"
    assert len({len(line) for line in lines[2:]}) == 1


def test_options_reach_the_shards(lab, monkeypatch):
    monkeypatch.setattr(shards.write_shards, "__defaults__", (8,))  # documents a row group
    flags = ("--piece-bytes=100", "--shard-characters=5000", "--val-fraction=0.5", "--val-documents=70")
    summary = lab("data", "prepare", "stories:20000", "--out=shards", "--json", *flags).summary
    assert summary["val_documents"] == 70
    assert summary["shards"] == 3
    total = lab("data", "stats", "shards", "--json").summary["total"]
    assert total["characters"] == 20000
    assert total["length_percentiles"]["100"] <= 100


def test_download(lab, server, tmp_path):
    for number in range(3):
        with open(tmp_path / "made", "wb") as file, parquet_writer(file) as write:
            write([f"{number}"] * 3)
        server.pages[f"/{number}.parquet"] = Page((tmp_path / "made").read_bytes())
    source = f"{server.url}/%d.parquet"
    flags = ("download", source, "--shards=2", "--out=here", "--json", "--quiet")
    summary = lab("data", *flags).summary
    assert summary.pop("seconds") > 0
    assert summary == {
        "command": "data",
        "schema": 1,
        "action": "download",
        "data": source,
        "out": "here",
        "files": 3,
        "fetched": 3,
        "validation": "0.parquet",
    }
    assert lab("data", *flags).summary["fetched"] == 0
    assert "3 files, of which 0 were fetched" in lab("data", *flags[:-2]).out
    assert lab("data", "stats", "here", "--json").summary["total"]["documents"] == 9
    del server.pages["/2.parquet"]
    os.remove("here/2.parquet")
    assert "2.parquet: the server answered 404" in lab("data", *flags[:-2], "--quiet").error(2)


def test_a_hosted_dataset_goes_to_the_cache(lab, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setenv("NANOCHAT_NP_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(data, "download", lambda *arguments: asked.append(arguments) or 9)
    summary = lab("data", "download", "climbmix", "--json", "--workers=3").summary
    assert (summary["out"], summary["files"]) == (str(tmp_path / "cache" / "climbmix"), 9)
    ((plan, folder, workers, *_),) = asked
    assert (folder, workers, plan.validation) == (tmp_path / "cache" / "climbmix", 3, "shard_06542.parquet")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 1, "data needs an action: write data prepare, download or stats"),
        (("stats",), 1, "data stats needs data: write data stats NAME_OR_PATH"),
        (("stat",), 1, "--action stat: expected download, prepare or stats; did you mean stats?"),
        (("stats", "x", "y"), 1, "unexpected argument y of data"),
        (("stats", "x", "--shards=3"), 1, "--shards does nothing with data stats: leave it out"),
        (("prepare", "articles.jsonl"), 1, "data prepare needs a folder for the shards: give --out"),
        (("prepare", "articles.jsonl", "--out=."), 1, "--out .: exists already"),
        (("prepare", "articles.jsonl", "--out=articles.jsonl"), 1, "--out articles.jsonl: exists already"),
        (("prepare", "articles.jsonl", "--out=articles.jsonl/x"), 1, "--out articles.jsonl/x: cannot be written: Not"),
        (("prepare", "nothing", "--out=shards"), 2, "--data 'nothing': no such file or folder"),
        (("prepare", "articles.jsonl", "--text-field=no", "--out=shards"), 2, "articles.jsonl: line 1: "),
        (("stats", "blank.txt"), 2, "blank.txt: no documents"),
        (("download", "climbmax"), 1, "--data climbmax: expected climbmix, fineweb-edu or the address"),
        (("download", "http://host/file"), 1, "data download of an address needs a folder for the files: give --out"),
        (("download", "climbmix", "--shards=6543"), 1, "--shards 6543: climbmix has 6542 to train on"),
        (("download", "climbmix", "--out=articles.jsonl"), 1, "--out articles.jsonl: cannot be written: File exists"),
    ],
)
def test_what_cannot_be_done_is_one_line(lab, articles, tmp_path, arguments, code, message):
    (tmp_path / "blank.txt").write_text(" \n")
    assert message in lab("data", *arguments, "--quiet").error(code)
    assert sorted(os.listdir(tmp_path)) == ["articles.jsonl", "blank.txt"]


def test_a_full_disk(lab, articles, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    message = lab("data", "prepare", "articles.jsonl", "--out=shards", "--quiet").error(3)
    assert message == "error: disk full: shards: free some space, or choose another disk with --out"
    assert os.listdir() == ["articles.jsonl"]
