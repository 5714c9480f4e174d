// The server's side of things: requests, and answers as they come.

let key = sessionStorage.getItem("nanochat.key") ?? "";

/** What the server refused, with its words. */
export class ServerError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export function useKey(value) {
  key = value;
  sessionStorage.setItem("nanochat.key", value);
}

/** The name of the model.  Throws ServerError. */
export async function model() {
  const response = await request("/v1/models");
  return (await response.json()).data[0].id;
}

/** The deltas of an answer, one after the other.  Throws ServerError, and AbortError when the signal says so. */
export async function* chat(body, signal) {
  const response = await request("/v1/chat/completions", {
    method: "POST",
    body: JSON.stringify({ ...body, stream: true }),
    headers: { "content-type": "application/json" },
    signal,
  });
  yield { dropped: Number(response.headers.get("x-context-dropped-messages") ?? 0) };
  for await (const data of events(response.body)) {
    if (data === "[DONE]") return;
    const content = JSON.parse(data);
    if (content.error) throw new ServerError(content.error.message, 0);
    for (const choice of content.choices) yield { ...choice.delta, finish: choice.finish_reason };
  }
  throw new ServerError("The connection ended before the answer did.", 0);
}

async function request(path, options = {}) {
  const headers = { ...options.headers, ...(key ? { authorization: `Bearer ${key}` } : {}) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server cannot be reached.", 0);
  }
  if (!response.ok) throw new ServerError(await reason(response), response.status);
  return response;
}

async function reason(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `The server answered ${response.status}.`;
  }
}

/** The data of server-sent events: chunks of the network end anywhere, in a line or in a character. */
export async function* events(stream) {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let data = [];
  try {
    for (;;) {
      const { value, done } = await read(reader);
      rest += decoder.decode(value, { stream: !done });
      const lines = rest.split("\n");
      rest = lines.pop();
      for (const line of lines.map((each) => each.replace(/\r$/, ""))) {
        if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
        if (!line && data.length) {
          yield data.join("\n");
          data = [];
        }
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function read(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The connection broke before the answer ended.", 0);
  }
}
