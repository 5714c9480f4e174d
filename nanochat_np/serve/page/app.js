// The page: one state, from which everything that is seen is made.

import { chat, model, ServerError, useKey } from "./api.js";
import { obey } from "./commands.js";
import * as store from "./store.js";
import { show } from "./view.js";

const MOST_MESSAGES = 499; // of the 500 that the server takes, one may be the system's
const AT_THE_END = 80; // pixels

const at = (id) => document.getElementById(id);
const [list, scroll, input, form, send, stop] = ["messages", "scroll", "input", "composer", "send", "stop"].map(at);

const settings = store.settings();
let conversation = store.fresh();
let running = null; // the AbortController of the answer that is being written
let editing = null; // the index of the message that is being edited
let modelName = null;

// --- showing

function render() {
  const following = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < AT_THE_END;
  const busy = running !== null;
  show(list, conversation.messages, { busy, editing, edit, resend, regenerate });
  list.setAttribute("aria-busy", String(busy)); // a screen reader hears the answer when it is whole
  at("welcome").hidden = conversation.messages.length > 0;
  at("title").textContent = store.title(conversation);
  document.title = `${store.title(conversation)} – nanochat_np`;
  at("model").textContent = modelName ?? "";
  at("settings").textContent = `temperature ${settings.temperature} · top-k ${settings.topK || "all"}`
    + (conversation.system ? " · system prompt" : "");
  send.hidden = busy;
  stop.hidden = !busy;
  send.disabled = !input.value.trim();
  if (following) scroll.scrollTop = scroll.scrollHeight;
}

let frame = null;
function renderSoon() {
  frame ??= requestAnimationFrame(() => {
    frame = null;
    render();
  });
}

function renderConversations() {
  const items = store.conversations().map((each) => {
    const item = document.createElement("li");
    const open = document.createElement("button");
    const name = document.createElement("span");
    const remove = document.createElement("button");
    name.textContent = store.title(each);
    open.append(name);
    open.className = "open";
    if (each.id === conversation.id) open.setAttribute("aria-current", "true");
    open.addEventListener("click", () => choose(each));
    remove.className = "icon delete";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `Delete the conversation ${store.title(each)}`);
    remove.addEventListener("click", () => discard(each));
    item.append(open, remove);
    return item;
  });
  at("conversations").replaceChildren(...items);
}

function say(text) {
  at("status").textContent = text;
}

// --- conversations

function keep() {
  conversation.updated = Date.now();
  if (conversation.messages.length && !store.save(conversation)) say("The browser has no room to keep this conversation.");
  renderConversations();
}

function choose(other) {
  running?.abort();
  conversation = other;
  editing = null;
  // An answer that was being written when the page was closed is not being written any more.
  for (const message of conversation.messages) if (message.state === "streaming") message.state = "stopped";
  showSidebar(false);
  render();
  renderConversations();
  scroll.scrollTop = scroll.scrollHeight;
  input.focus();
}

function discard(other) {
  if (!confirm(`Delete the conversation "${store.title(other)}"?`)) return;
  if (other.id === conversation.id) choose(store.fresh());
  store.remove(other);
  renderConversations();
}

// --- messages

/** What the model gets to see: whole exchanges, and the last question. */
function history(messages) {
  const turns = [];
  for (const message of messages) {
    if (message.role === "user") {
      if (turns.at(-1)?.role === "user") turns.pop(); // its answer failed, or was stopped before it began
      turns.push({ role: "user", content: message.content });
    } else if (message.role === "assistant" && message.parts.length && turns.at(-1)?.role === "user") {
      turns.push({ role: "assistant", content: message.parts });
    }
  }
  const newest = turns.slice(-MOST_MESSAGES);
  return newest[0]?.role === "assistant" ? newest.slice(1) : newest;
}

async function answer() {
  const own = conversation; // the user may turn to another, which stops this answer
  const system = own.system ? [{ role: "system", content: own.system }] : [];
  const body = {
    model: modelName,
    messages: [...system, ...history(own.messages)],
    temperature: settings.temperature,
    top_k: settings.topK,
  };
  const message = { role: "assistant", parts: [], state: "streaming" };
  own.messages.push(message);
  const abort = running = new AbortController();
  say("The model is answering.");
  keep();
  render();
  scroll.scrollTop = scroll.scrollHeight;
  try {
    body.model = modelName ??= await model();
    for await (const delta of chat(body, abort.signal)) {
      take(message, delta);
      if (own === conversation) renderSoon();
    }
    message.state = message.finish === "length" ? "length" : "done";
    say("The answer is complete.");
  } catch (error) {
    refused(message, error);
  }
  if (running === abort) running = null;
  store.save(own);
  render();
  renderConversations();
  if (message.state !== "error") input.focus();
}

function take(message, delta) {
  if (delta.dropped) message.dropped = delta.dropped;
  if (delta.finish) message.finish = delta.finish;
  if (delta.content) extend(message.parts, "text", delta.content);
  for (const [type, text] of Object.entries(delta.nanochat ?? {})) extend(message.parts, type, text);
}

function extend(parts, type, text) {
  if (type === "text" && parts.at(-1)?.type === "text") parts.at(-1).text += text;
  else parts.push({ type, text });
}

function refused(message, error) {
  if (error.name === "AbortError") {
    message.state = "stopped";
    say("Stopped.");
    return;
  }
  message.state = "error";
  message.error = error instanceof ServerError ? error.message : `Something went wrong in this page: ${error.message}`;
  say(message.error);
  if (error.status === 401) at("key").showModal();
}

function submit() {
  const text = input.value.trim();
  if (!text || running) return;
  input.value = "";
  grow();
  const reply = obey(text, settings, conversation);
  if (reply === null) {
    conversation.messages.push({ role: "user", content: text });
    answer();
    return;
  }
  if (reply) conversation.messages.push({ role: "console", content: `${text}\n${reply}` });
  else store.remove(conversation);
  store.saveSettings(settings);
  keep();
  render();
  scroll.scrollTop = scroll.scrollHeight;
}

function edit(index) {
  editing = index;
  render();
  if (index === null) input.focus();
  else {
    const area = list.children[index].querySelector("textarea");
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }
}

/** A message says something else now; what came after it did not happen. */
function resend(index, text) {
  editing = null;
  conversation.messages = [...conversation.messages.slice(0, index), { role: "user", content: text }];
  answer();
}

/** The answer, and what came after it, did not happen. */
function regenerate(index) {
  if (running) return;
  conversation.messages = conversation.messages.slice(0, index);
  answer();
}

// --- controls

function grow() {
  input.style.height = "auto";
  input.style.height = `${Math.min(input.scrollHeight, 200)}px`;
  send.disabled = !input.value.trim();
}

function showSidebar(shown) {
  const open = shown && !at("sidebar").classList.contains("shown");
  at("sidebar").classList.toggle("shown", shown);
  at("shade").hidden = !shown;
  at("menu").setAttribute("aria-expanded", String(shown));
  if (open) at("close").focus();
}

const THEMES = { "": "as the system has them", light: "light", dark: "dark" };
function turnTheme() {
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(localStorage.getItem("nanochat.theme") ?? "") + 1) % names.length];
  localStorage.setItem("nanochat.theme", next);
  if (next) document.documentElement.dataset.theme = next;
  else delete document.documentElement.dataset.theme;
  nameTheme();
}

function nameTheme() {
  const name = `Colours: ${THEMES[localStorage.getItem("nanochat.theme") ?? ""]}`;
  at("theme").setAttribute("aria-label", name);
  at("theme").title = name;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
input.addEventListener("input", grow);
input.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    submit();
  } else if (event.key === "ArrowUp" && !input.value && !running) {
    const last = conversation.messages.findLastIndex((message) => message.role === "user");
    if (last >= 0) {
      event.preventDefault();
      edit(last);
    }
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    running?.abort();
    if (at("sidebar").classList.contains("shown")) {
      showSidebar(false);
      at("menu").focus();
    }
  } else if (event.ctrlKey && event.shiftKey && event.key.toLowerCase() === "o") {
    event.preventDefault();
    choose(store.fresh());
  }
});
stop.addEventListener("click", () => {
  running?.abort();
  input.focus();
});
at("new").addEventListener("click", () => choose(store.fresh()));
at("menu").addEventListener("click", () => showSidebar(true));
at("close").addEventListener("click", () => {
  showSidebar(false);
  at("menu").focus();
});
at("shade").addEventListener("click", () => showSidebar(false));
at("theme").addEventListener("click", turnTheme);
at("key").addEventListener("close", () => {
  if (at("key").returnValue !== "save") return;
  useKey(at("key-input").value.trim());
  const last = conversation.messages.length - 1;
  if (conversation.messages[last]?.state === "error") regenerate(last);
  else greet();
});
window.addEventListener("storage", renderConversations); // another tab

async function greet() {
  try {
    modelName = await model();
  } catch (error) {
    if (error.status === 401) at("key").showModal();
    else conversation.messages.push({ role: "console", content: error.message });
  }
  render();
}

nameTheme();
choose(store.conversations()[0] ?? store.fresh());
greet();
