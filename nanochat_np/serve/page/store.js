// What the browser keeps: each conversation under a key of its own, so that two tabs do not overwrite each other.

const PREFIX = "nanochat.conversation.";
const SETTINGS = "nanochat.settings";
const DEFAULTS = { temperature: 0.8, topK: 50 };

export function fresh() {
  return { id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, updated: Date.now(), system: "", messages: [] };
}

/** All conversations, the newest first. */
export function conversations() {
  const keys = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
  return keys.map(parsed).filter((each) => each?.messages).sort((a, b) => b.updated - a.updated);
}

function parsed(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

/** Keep a conversation; false where the browser has no room for it. */
export function save(conversation) {
  try {
    localStorage.setItem(PREFIX + conversation.id, JSON.stringify(conversation));
    return true;
  } catch {
    return false;
  }
}

export function remove(conversation) {
  localStorage.removeItem(PREFIX + conversation.id);
}

export function title(conversation) {
  const first = conversation.messages.find((message) => message.role === "user");
  return first ? first.content.replace(/\s+/g, " ").trim().slice(0, 60) : "New conversation";
}

export function settings() {
  return { ...DEFAULTS, ...parsed(SETTINGS) };
}

export function saveSettings(values) {
  localStorage.setItem(SETTINGS, JSON.stringify(values));
}
