// Markdown to DOM nodes.  Text of the model becomes text nodes and nothing else: no HTML is ever parsed.

const FENCE = /^ {0,3}(```+|~~~+)\s*([^\s`]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])(\s*\1){2,}\s*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const QUOTE = /^ {0,3}> ?(.*)$/;
const ROW = /^\s*\|(.+)\|\s*$/;
const DIVIDER = /^\s*\|(\s*:?-+:?\s*\|)+\s*$/;
const DEEPEST = 8; // of lists and quotes

/** The nodes of a text. */
export function markdown(text) {
  return blocks(text.split("\n"), 0);
}

function element(name, ...children) {
  const node = document.createElement(name);
  node.append(...children);
  return node;
}

function blocks(lines, depth) {
  const nodes = [];
  let at = 0;
  while (at < lines.length) {
    const [node, next] = block(lines, at, depth);
    if (node) nodes.push(node);
    at = next;
  }
  return nodes;
}

/** The block that begins at a line, and the line after it. */
function block(lines, at, depth) {
  const line = lines[at];
  if (!line.trim()) return [null, at + 1];
  let match = FENCE.exec(line);
  if (match) return fence(lines, at, match);
  match = HEADING.exec(line);
  if (match) return [element(`h${match[1].length}`, ...inline(match[2])), at + 1];
  if (RULE.test(line)) return [element("hr"), at + 1];
  if (depth < DEEPEST && QUOTE.test(line)) return quote(lines, at, depth);
  if (depth < DEEPEST && ITEM.test(line)) return list(lines, at, depth);
  if (ROW.test(line) && DIVIDER.test(lines[at + 1] ?? "")) return table(lines, at);
  return paragraph(lines, at, depth);
}

function fence(lines, at, [, marks, language]) {
  const end = new RegExp(`^ {0,3}${marks[0]}{${marks.length},}\\s*$`);
  let last = at + 1;
  while (last < lines.length && !end.test(lines[last])) last += 1;
  return [code(lines.slice(at + 1, last).join("\n"), language), last + 1];
}

function code(text, language) {
  const copy = element("button", "Copy");
  copy.type = "button";
  copy.addEventListener("click", () => copied(copy, text));
  const head = element("div", element("span", language || "code"), copy);
  head.className = "head";
  const pre = element("pre", element("code", text));
  pre.tabIndex = 0; // for the keyboard to scroll it
  const box = element("div", head, pre);
  box.className = "code";
  return box;
}

/** Put a text on the clipboard, and say so on the button; pages that are not from this machine need https for it. */
export async function copied(button, text) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed here";
  }
  setTimeout(() => { button.textContent = label; }, 1500);
}

function quote(lines, at, depth) {
  const inner = [];
  let match;
  while (at < lines.length && (match = QUOTE.exec(lines[at]))) {
    inner.push(match[1]);
    at += 1;
  }
  return [element("blockquote", ...blocks(inner, depth + 1)), at];
}

/** A list: items of one kind and one indentation, each with the lines that are indented further. */
function list(lines, at, depth) {
  const [, indent, mark] = ITEM.exec(lines[at]);
  const ordered = /\d/.test(mark);
  const node = element(ordered ? "ol" : "ul");
  if (ordered) node.start = parseInt(mark, 10);
  while (at < lines.length) {
    const match = ITEM.exec(lines[at]);
    if (!match || match[1].length !== indent.length || /\d/.test(match[2]) !== ordered) break;
    const inner = [match[3]];
    at += 1;
    while (at < lines.length && belongs(lines, at, indent.length)) {
      inner.push(lines[at].slice(Math.min(indentOf(lines[at]), indent.length + 2)));
      at += 1;
    }
    node.append(item(inner, depth));
  }
  return [node, at];
}

function indentOf(line) {
  return line.length - line.trimStart().length;
}

function belongs(lines, at, indent) {
  if (lines[at].trim()) return indentOf(lines[at]) > indent;
  const next = lines[at + 1] ?? "";
  return next.trim() !== "" && indentOf(next) > indent;
}

/** An item of one paragraph has its words without one. */
function item(lines, depth) {
  const nodes = blocks(lines, depth + 1);
  if (nodes[0]?.tagName === "P") nodes.splice(0, 1, ...nodes[0].childNodes);
  return element("li", ...nodes);
}

function table(lines, at) {
  const cells = (line) => ROW.exec(line)[1].split("|").map((cell) => inline(cell.trim()));
  const head = element("thead", element("tr", ...cells(lines[at]).map((cell) => element("th", ...cell))));
  const body = element("tbody");
  at += 2;
  while (at < lines.length && ROW.test(lines[at])) {
    body.append(element("tr", ...cells(lines[at]).map((cell) => element("td", ...cell))));
    at += 1;
  }
  return [element("table", head, body), at];
}

function paragraph(lines, at, depth) {
  const own = [lines[at]];
  at += 1;
  while (at < lines.length && lines[at].trim() && !begins(lines[at], depth)) {
    own.push(lines[at]);
    at += 1;
  }
  const nodes = own.flatMap((line, number) => (number ? [element("br"), ...inline(line)] : inline(line)));
  return [element("p", ...nodes), at];
}

function begins(line, depth) {
  const nested = depth < DEEPEST && (QUOTE.test(line) || ITEM.test(line));
  return nested || FENCE.test(line) || HEADING.test(line) || RULE.test(line);
}

// What stands in a line; the first that matches at the earliest place wins.
const INLINE = [
  [/(`+)(.+?)\1(?!`)/, (match) => element("code", match[2].replace(/^ (.+) $/, "$1"))],
  [/\*\*(?=\S)(.+?)(?<=\S)\*\*/, (match) => element("strong", ...inline(match[1]))],
  [/(?<!\w)__(?=\S)(.+?)(?<=\S)__(?!\w)/, (match) => element("strong", ...inline(match[1]))],
  [/~~(?=\S)(.+?)(?<=\S)~~/, (match) => element("del", ...inline(match[1]))],
  [/\*(?=[^\s*])(.+?)(?<=[^\s*])\*/, (match) => element("em", ...inline(match[1]))],
  [/(?<!\w)_(?=[^\s_])(.+?)(?<=[^\s_])_(?!\w)/, (match) => element("em", ...inline(match[1]))],
  [/\[([^\[\]]+)\]\((https?:\/\/[^\s()<>"]+)\)/, (match) => link(match[2], inline(match[1]))],
  [/\bhttps?:\/\/[^\s<>"'`]+[^\s<>"'`.,;:!?)\]}]/, (match) => link(match[0], [match[0]])],
];

function inline(text) {
  const nodes = [];
  let rest = text;
  while (rest) {
    const found = INLINE.map(([pattern, make]) => [pattern.exec(rest), make]).filter(([match]) => match);
    if (!found.length) break;
    const [match, make] = found.reduce((best, each) => (each[0].index < best[0].index ? each : best));
    if (match.index) nodes.push(document.createTextNode(rest.slice(0, match.index)));
    nodes.push(make(match));
    rest = rest.slice(match.index + match[0].length);
  }
  if (rest) nodes.push(document.createTextNode(rest));
  return nodes;
}

function link(address, children) {
  const node = element("a", ...children);
  node.href = address; // http or https, by the pattern
  node.target = "_blank";
  node.rel = "noopener noreferrer nofollow";
  return node;
}
