// From messages to nodes.  What is shown is a function of the list of messages: nothing is kept in the page itself.

import { copied, markdown } from "./markdown.js";

function element(name, className, ...children) {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

function button(label, act, title = label) {
  const node = element("button", "", label);
  node.type = "button";
  node.title = title;
  node.addEventListener("click", act);
  return node;
}

/** Show messages: a node is made anew only where its message, or whether it may be acted on, has changed. */
export function show(list, messages, state) {
  const nodes = messages.map((message, index) => {
    const mark = JSON.stringify([message, index, state.busy, state.editing === index, messages.length - 1 === index]);
    const old = list.children[index];
    if (old?.mark === mark) return old;
    const node = made(message, index, state);
    node.mark = mark;
    keepOpen(old, node);
    return node;
  });
  while (list.children.length > nodes.length) list.lastChild.remove();
  nodes.forEach((node, index) => {
    const old = list.children[index];
    if (old === undefined) list.append(node);
    else if (old !== node) old.replaceWith(node);
  });
}

/** A tool call that was unfolded stays so while its message grows. */
function keepOpen(old, node) {
  const before = old?.querySelectorAll("details") ?? [];
  node.querySelectorAll("details").forEach((each, index) => { each.open = before[index]?.open ?? false; });
}

function made(message, index, state) {
  if (message.role === "console") return element("li", "message console", message.content);
  return message.role === "user" ? user(message, index, state) : assistant(message, index, state);
}

function user(message, index, state) {
  const node = element("li", "message user", element("span", "hidden", "You: "));
  if (state.editing === index) {
    node.append(editor(message, index, state));
    return node;
  }
  node.append(element("div", "bubble", message.content));
  if (!state.busy) node.append(element("div", "actions", button("Edit", () => state.edit(index), "Edit and send again")));
  return node;
}

function editor(message, index, state) {
  const form = element("form");
  const input = element("textarea");
  input.value = message.content;
  input.setAttribute("aria-label", "Edit the message");
  const save = element("button", "strong", "Send");
  save.type = "submit";
  form.append(input, element("div", "row", button("Cancel", () => state.edit(null)), save));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.value.trim()) state.resend(index, input.value.trim());
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      state.edit(null);
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  return form;
}

function assistant(message, index, state) {
  const node = element("li", "message assistant", element("span", "hidden", "Model: "));
  node.append(...parts(message.parts));
  if (message.state === "streaming" && !message.parts.length) node.append(element("div", "waiting"));
  if (message.dropped) {
    node.append(element("p", "note", `The oldest ${message.dropped} messages did not fit the model's context.`));
  }
  if (message.state === "stopped") node.append(element("p", "note", "Stopped."));
  if (message.state === "length") node.append(element("p", "note", "The answer reached the end of the context."));
  if (message.state === "done" && !message.parts.length) node.append(element("p", "note", "The model said nothing."));
  if (message.state === "error") {
    const retry = button("Try again", () => state.regenerate(index));
    const error = element("div", "error", element("span", "", sentence(message.error)), retry);
    error.setAttribute("role", "alert");
    node.append(error);
  } else if (message.state !== "streaming" && !state.busy) {
    const text = message.parts.filter((part) => part.type === "text").map((part) => part.text).join("");
    node.append(
      element(
        "div",
        "actions",
        button("Copy", (event) => copied(event.currentTarget, text), "Copy the answer"),
        button("Regenerate", () => state.regenerate(index), "Answer again"),
      ),
    );
  }
  return node;
}

function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

/** Text as Markdown; a call of the calculator with its result folded. */
function parts(list) {
  const nodes = [];
  list.forEach((part, index) => {
    if (part.type === "text") nodes.push(element("div", "text", ...markdown(part.text)));
    if (part.type === "python") {
      const next = list[index + 1];
      nodes.push(tool(part.text, next?.type === "python_output" ? next.text : null));
    }
  });
  return nodes;
}

function tool(call, result) {
  const facts = element("dl", "", element("dt", "", "expression"), element("dd", "", call));
  if (result !== null) facts.append(element("dt", "", "result"), element("dd", "", result));
  return element("details", "tool", element("summary", "", "Used the calculator"), facts);
}
