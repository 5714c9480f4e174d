"""``report`` as its user meets it: a page that is whole, safe and all its own."""

import json
import re
from html.parser import HTMLParser

from tests.report.runs import run, speedrun, step, write

FILES = {"report.md", "report.html"}
VOID = {"meta", "br", "hr"}


class Page(HTMLParser):
    """Tags that open and close in order, and what they would load."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.loads, self.ids = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [value for name, value in attributes if name in ("src", "href")]
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_of_a_speedrun(lab, tmp_path):
    folder = speedrun(tmp_path / "run")
    result = lab("report", str(folder), "--dollars-per-hour=36")
    assert result.code == 0
    assert re.search(r"^spelling +0.0 % +50.0 % \* +–$", result.out, re.M)
    assert "$1.40" in result.out
    assert str(folder / "report.html") in result.out
    assert result.err == "eval: midtrain: bpb: no text\n"
    markdown = (folder / "report.md").read_text()
    assert "| spelling | 0.0 % | **50.0 %** | – |" in markdown
    assert "| bpb, bits per byte | 1.5000 | FAILED | – |" in markdown
    images = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", markdown)
    assert len(images) == 3
    assert {path.name for path in folder.glob("report*")} == FILES | set(images)
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert page.loads == []
    assert not {"script", "link", "img"} & set(page.tags)
    assert page.tags.count("svg") == 3
    assert len(page.ids) == len(set(page.ids)) == 6
    assert "end &lt;/pre&gt;&lt;script&gt;" in text
    assert "http" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_foreign_text_is_shown_as_it_is(lab, tmp_path):
    name = "a|b *c* <i> `d` &amp; [e](f)"
    events = [step(1, 1.0), {"event": "sample", "step": 1, "prompt": "# _x_ |\x1b[2J", "text": "```\n<b>\n````\n\x07"}]
    run(tmp_path / name, "sft", events, data="![x](http://y)")
    assert lab("report", str(tmp_path / name)).code == 0
    text = (tmp_path / name / "report.html").read_text()
    page = Page(text)
    assert not {"i", "b", "a", "img", "em"} & set(page.tags)
    assert '<th style="text-align:right">a|b *c* &lt;i&gt; `d` &amp;amp; [e](f)</th>' in text
    assert "# _x_ | [2J”:" in text
    assert "```\n&lt;b&gt;\n````\n\ufffd\n</code>" in text


def test_json_is_one_object_with_all_of_it(lab, tmp_path):
    speedrun(tmp_path / "run")
    summary = lab("report", "run", "--out", "page/new", "--json", "--quiet").summary
    assert (summary["command"], summary["schema"]) == ("report", 1)
    assert {path.name for path in (tmp_path / "page" / "new").iterdir()} >= FILES
    assert not FILES & {path.name for path in (tmp_path / "run").iterdir()}
    assert summary["markdown"] == "page/new/report.md"
    curve = summary["stages"][0]["charts"][0]["series"][0]
    assert curve == {"name": "training", "steps": [1, 2, 3, 4], "values": [3.5, 3.0, 2.5, 2.0], "marked": False}
    json.dumps(summary, allow_nan=False)


def test_what_cannot_be_done_is_told(lab, tmp_path):
    assert "nowhere: cannot be read" in lab("report", "nowhere").error(2)
    assert "no trained model under results" in lab("report").error(4)
    run(tmp_path / "run", "sft", [step(1, 1.0)])
    write(tmp_path / "file", "")
    assert "--out file/x: cannot be written" in lab("report", "run", "--out", "file/x").error(1)
    assert "--dollars-per-hour" in lab("report", "run", "--dollars-per-hour=-1").error(1)
