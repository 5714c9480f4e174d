// Commands that are typed as messages.

const HELP = `/temperature [0 to 2]   how freely words are chosen; 0 always takes the likeliest
/topk [0 to 200]        choose among that many of the likeliest; 0 is all
/system [text]          what the model is told beforehand; - takes it away
/clear                  forget the messages of this conversation
/help                   this list

Enter sends, Shift+Enter begins a new line, Escape stops an answer,
Arrow Up in an empty box edits the last message, Ctrl+Shift+O begins a new conversation.`;

/** What a command says in reply; it may change settings and the conversation.  Null for a text that is none. */
export function obey(text, settings, conversation) {
  const match = /^\/(\w+)(?:\s+([\s\S]*))?$/.exec(text);
  if (!match) return null;
  const [, name, argument = ""] = match;
  const command = COMMANDS[name.toLowerCase()];
  return command ? command(argument.trim(), settings, conversation) : `There is no command /${name}: see /help.`;
}

function number(name, field, low, high, whole) {
  return (argument, settings) => {
    if (!argument) return `${name} is ${settings[field]}.`;
    const value = Number(argument);
    if (!Number.isFinite(value) || value < low || value > high || (whole && !Number.isInteger(value))) {
      return `${name} takes a ${whole ? "whole " : ""}number from ${low} to ${high}, not "${argument}".`;
    }
    settings[field] = value;
    return `${name} is now ${value}.`;
  };
}

const COMMANDS = {
  temperature: number("The temperature", "temperature", 0, 2, false),
  topk: number("Top-k", "topK", 0, 200, true),
  help: () => HELP,
  clear: (_, settings, conversation) => {
    conversation.messages = [];
    return "";
  },
  system: (argument, settings, conversation) => {
    if (argument === "-") conversation.system = "";
    else if (argument) conversation.system = argument;
    return conversation.system ? `The model is told: ${conversation.system}` : "The model is told nothing beforehand.";
  },
};
