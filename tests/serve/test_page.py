"""The page in a browser, against a real server whose engine answers from a script."""

import os
import re

import msgspec
import pytest

from nanochat_np.serve.app import application, service_of
from nanochat_np.serve.service import Settings
from tests.serve.fake import FakeEngine, spelled
from tests.serve.live import listening

pytestmark = pytest.mark.browser

MARKDOWN = """# Title
**bold** and `code` 🎉

```python
x = 1 < 2  # <b>no html</b>
```

- one
- two <img src=x onerror="document.title='hacked'">

[a link](https://example.org) [no link](javascript:alert(1))"""
CALL = ["<|python_start|>", "12*34", "<|python_end|>", "<|output_start|>", "408", "<|output_end|>"]


def answer(prompt):
    asked = re.findall(r"<\|user_start\|>(.*?)<\|user_end\|>", prompt, re.DOTALL)[-1]
    if "markdown" in asked:
        return spelled(MARKDOWN)
    if "calculate" in asked:
        return spelled("It is ", *CALL, ".")
    return spelled(f"You said: {asked}")


@pytest.fixture
def engine():
    engine = FakeEngine(answer)
    engine.config = msgspec.structs.replace(engine.config, sequence_len=4000)
    return engine


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = os.environ.get("NANOCHAT_NP_CHROMIUM")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Page:
    """The page as its user has it; ``problems`` are what the browser complains of."""

    def __init__(self, page, url):
        self.page, self.problems = page, []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda m: self.problems.append(m.text) if m.type in ("error", "warning") else None)
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(url)
        page.locator("#model", has_text="tiny").wait_for()

    def send(self, text):
        self.page.fill("#input", text)
        self.page.press("#input", "Enter")

    def say(self, text):
        self.send(text)
        self.settled()

    def settled(self):
        self.page.wait_for_selector("#messages[aria-busy=false]", state="attached")

    @property
    def texts(self):
        items = self.page.locator("#messages > li").all()
        return [re.sub(r"\s+", " ", item.inner_text()).strip() for item in items]


@pytest.fixture
def pages(browser, engine):
    """A maker of pages, each in a browser of its own; what goes wrong in one of them fails the test."""
    made = []
    with listening(application(service_of(engine, Settings(model="tiny")))) as url:

        def make(**options):
            context = browser.new_context(**options)
            made.append((context, Page(context.new_page(), url)))
            return made[-1][1]

        yield make
        engine.steps_allowed(10**9)
        for context, _ in made:
            context.close()
    assert [problem for _, page in made for problem in page.problems] == []


@pytest.fixture
def page(pages):
    return pages()


def test_a_conversation(page, engine):
    page.say("one")
    page.say("two")
    assert page.texts == ["You: one Edit", "Model: You said: one Copy Regenerate", *page.texts[2:]]
    assert "You said: two" in page.texts[3]
    assert engine.prompts[-1].count("<|user_start|>") == 2
    assert "You said: one<|assistant_end|>" in engine.prompts[-1]
    assert page.page.evaluate("document.activeElement.id") == "input"


def test_an_answer_can_be_stopped_and_the_conversation_goes_on(page, engine):
    engine.steps_allowed(4)
    page.send("one")
    page.page.wait_for_selector("#messages .text")
    page.page.click("#stop")
    page.settled()
    assert "Stopped." in page.texts[1]
    engine.steps_allowed(10**9)
    page.say("two")
    assert "You said: two" in page.texts[3]


def test_escape_stops_too(page, engine):
    engine.steps_allowed(2)
    page.send("one")
    page.page.wait_for_selector("#messages .text")
    page.page.keyboard.press("Escape")
    page.settled()
    assert "Stopped." in page.texts[1]


def test_a_message_edited_is_the_last_one_again(page, engine):
    for text in ("one", "/temperature 0", "two", "three"):
        page.say(text)
    assert len(page.texts) == 7
    page.page.locator("#messages > li", has_text="You: two").hover()
    page.page.locator("#messages > li", has_text="You: two").get_by_role("button", name="Edit").click()
    page.page.get_by_label("Edit the message").fill("other")
    page.page.keyboard.press("Enter")
    page.settled()
    assert [text.split(" Edit")[0].split(" Copy")[0] for text in page.texts] == [
        "You: one",
        "Model: You said: one",
        "/temperature 0 The temperature is now 0.",
        "You: other",
        "Model: You said: other",
    ]
    assert engine.prompts[-1].count("<|user_start|>") == 2
    assert "two" not in engine.prompts[-1]


def test_an_answer_regenerated_takes_what_followed_with_it(page, engine):
    page.say("one")
    page.say("two")
    page.page.get_by_role("button", name="Regenerate").first.click()
    page.settled()
    assert len(page.texts) == 2
    assert engine.prompts[-1].count("<|user_start|>") == 1


def test_an_error_is_told_and_can_be_tried_again(page, engine):
    page.say("one")
    engine.error = MemoryError()
    page.say("two")
    assert "out of memory" in page.texts[3]
    assert any("503" in problem for problem in page.problems)
    page.problems.clear()
    page.say("three")  # without trying again: what failed is not sent
    assert engine.prompts[-1].count("<|user_start|>") == 2
    assert "two" not in engine.prompts[-1]
    page.page.get_by_role("button", name="Try again").click()
    page.settled()
    assert len(page.texts) == 4
    assert "You said: two" in page.texts[3]


def test_markdown_becomes_nodes_and_html_stays_text(page):
    page.say("markdown")
    text = page.page.locator("#messages .text")
    assert text.locator("h1").inner_text() == "Title"
    assert text.locator("strong").inner_text() == "bold"
    assert text.locator("pre code").inner_text() == "x = 1 < 2  # <b>no html</b>"
    assert text.locator("li").count() == 2
    assert text.locator("a").count() == 1
    assert text.locator("a").get_attribute("href") == "https://example.org"
    assert text.locator("img, b").count() == 0
    assert "🎉" in text.inner_text()
    assert "hacked" not in page.page.title()


def test_calls_of_the_calculator_are_folded(page):
    page.say("calculate")
    tool = page.page.locator("details.tool")
    assert not tool.locator("dl").is_visible()
    assert "12*34" not in page.page.locator("#messages .text").all_inner_texts()
    tool.locator("summary").press("Enter")
    assert tool.locator("dd").all_inner_texts() == ["12*34", "408"]


def test_commands(page, engine):
    page.say("/temperature 3")
    page.say("/temperature 0.5")
    page.say("/topk 7")
    page.say("/nonsense")
    page.say("/system Be kind.")
    page.say("/help")
    texts = page.texts
    assert "takes a number from 0 to 2" in texts[0]
    assert "no command /nonsense" in texts[3]
    assert "/topk" in texts[5]
    assert page.page.locator("#settings").inner_text() == "temperature 0.5 · top-k 7 · system prompt"
    assert engine.prompts == []
    page.say("hi")
    assert "<|user_start|>Be kind.\n\nhi<|user_end|>" in engine.prompts[-1]
    page.say("/clear")
    assert page.texts == []


def test_conversations_are_kept_in_the_browser(page):
    page.say("first")
    page.page.click("#new")
    page.say("second")
    page.page.reload()
    page.settled()
    assert "You said: second" in page.texts[1]
    page.page.locator("#conversations").get_by_role("button", name="first", exact=True).click()
    assert "You said: first" in page.texts[1]
    page.page.get_by_role("button", name="Delete the conversation first").click()
    assert page.texts == []
    assert page.page.locator("#conversations li").count() == 1


def test_characters_and_events_may_be_cut_anywhere(page):
    """The parser of the page, fed byte by byte."""
    found = page.page.evaluate(
        """async () => {
            const { events } = await import("/api.js");
            const text = 'data: {"a":"é🎉 data: x"}\\r\\n\\r\\n: note\\ndata: b\\n\\ndata: [DONE]\\n\\n';
            const bytes = new TextEncoder().encode(text);
            const stream = new ReadableStream({
                start(it) { for (const byte of bytes) it.enqueue(new Uint8Array([byte])); it.close(); },
            });
            const found = [];
            for await (const data of events(stream)) found.push(data);
            return found;
        }"""
    )
    assert found == ['{"a":"é🎉 data: x"}', "b", "[DONE]"]


def test_by_keyboard_alone(page, engine):
    page.page.keyboard.type("one")
    page.page.keyboard.press("Shift+Enter")
    page.page.keyboard.type("line")
    page.page.keyboard.press("Enter")
    page.settled()
    assert "one\nline" in engine.prompts[-1]
    page.page.keyboard.press("ArrowUp")
    assert page.page.get_by_label("Edit the message").input_value() == "one\nline"
    page.page.keyboard.press("Escape")
    page.page.keyboard.press("Control+Shift+O")
    assert page.texts == []


def test_controls_have_names_and_the_answer_is_announced_once_it_is_whole(page, engine):
    engine.steps_allowed(2)
    page.send("one")
    page.page.wait_for_selector("#messages[aria-busy=true]")
    engine.steps_allowed(10**9)
    page.settled()
    assert page.page.locator("#status").inner_text() == "The answer is complete."
    assert page.page.locator("#messages").get_attribute("aria-live") == "polite"
    nameless = page.page.evaluate(
        "[...document.querySelectorAll('button, textarea, input')].filter(each => "
        "!(each.getAttribute('aria-label') || each.textContent.trim() || each.labels?.length)).map(each => each.id)"
    )
    assert nameless == []


def test_dark_and_light(pages):
    def background(page):
        return page.page.evaluate("getComputedStyle(document.body).backgroundColor")

    light, dark = pages(color_scheme="light"), pages(color_scheme="dark")
    assert background(light) != background(dark)
    light.page.click("#theme")  # light, whatever the system says
    light.page.click("#theme")
    assert background(light) == background(dark)
    light.page.reload()
    assert background(light) == background(dark)


def test_on_a_telephone(pages):
    page = pages(viewport={"width": 360, "height": 700}, is_mobile=True, has_touch=True)
    page.say("markdown")
    assert page.page.evaluate("document.documentElement.scrollWidth") == 360
    assert not page.page.locator("#sidebar").is_visible()
    page.page.get_by_role("button", name="Conversations", exact=True).click()
    assert page.page.locator("#sidebar").is_visible()
    assert page.page.evaluate("document.activeElement.id") == "close"
    page.page.keyboard.press("Escape")
    page.page.wait_for_selector("#sidebar", state="hidden")


def test_a_key_that_the_server_wants(browser, engine):
    with listening(application(service_of(engine, Settings(model="tiny", api_key="secret")))) as url:
        context = browser.new_context()
        page = context.new_page()
        page.goto(url)
        page.get_by_role("textbox", name="Key").fill("secret")
        page.keyboard.press("Enter")
        page.locator("#model", has_text="tiny").wait_for()
        context.close()
