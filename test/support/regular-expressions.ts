import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A regular expression as it is written in a source file. */
export interface Found {
  file: string;
  source: string;
  flags: string;
}

export interface Expressions {
  literals: Found[];
  /** Files that build some from parts, once for each. */
  built: string[];
}

/** What can end a value, so that a slash behind it divides; behind anything else it begins a regular expression. */
const ENDS_VALUE = /[\w$)\]}"'`]$/;
const KEYWORD = /(?:^|[^\w$.])(?:return|typeof|case|in|of|do|else|void|delete|await|yield)$/;
const FLAGS = /[a-z]*/y;

/** Every regular expression of a folder of TypeScript. */
export function findExpressions(folder: string): Expressions {
  const found: Expressions = { literals: [], built: [] };
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
    (name) => name.endsWith(".ts") && !name.endsWith(".d.ts"),
  );
  for (const name of names.sort()) {
    const code = readFileSync(join(folder, name), "utf8");
    for (const { source, flags } of literalsIn(code)) found.literals.push({ file: name, source, flags });
    const constructions = code.match(/\bRegExp\(/g) ?? [];
    found.built.push(...constructions.map(() => name));
  }
  return found;
}

/** Of a text of TypeScript: comments, strings and the texts of templates are passed over, and what templates hold isn't. */
export function literalsIn(code: string): { source: string; flags: string }[] {
  const literals: { source: string; flags: string }[] = [];
  /** For each template that is open, how many braces are open in its `${`. */
  const templates: number[] = [];
  let before = "";
  let at = 0;
  while (at < code.length) {
    const character = code.charAt(at);
    const two = code.slice(at, at + 2);
    const start = at;
    if (two === "//" || two === "/*" || two === "#!") {
      const end = two !== "/*" ? code.indexOf("\n", at) : code.indexOf("*/", at) + 2;
      at = end < start ? code.length : end;
      continue;
    }
    if (character === '"' || character === "'") at = endOfQuoted(code, at);
    else if (character === "`" || (character === "}" && templates.at(-1) === 0)) {
      if (character === "}") templates.pop();
      at = endOfTemplateText(code, at + 1);
      if (code.charAt(at - 1) === "{") {
        templates.push(0);
        before = "(";
        continue;
      }
    } else if (character === "/" && (!ENDS_VALUE.test(before) || KEYWORD.test(before))) {
      const end = endOfLiteral(code, at);
      FLAGS.lastIndex = end + 1;
      const flags = FLAGS.exec(code)?.[0] ?? "";
      literals.push({ source: code.slice(at + 1, end), flags });
      at = end + 1 + flags.length;
    } else {
      const open = templates.pop();
      if (open !== undefined) templates.push(open + (character === "{" ? 1 : character === "}" ? -1 : 0));
      at += 1;
    }
    if (character.trim() !== "")
      before = code
        .slice(Math.max(0, start - 10), at)
        .trimEnd()
        .slice(-12);
  }
  return literals;
}

function endOfQuoted(code: string, start: number): number {
  const quote = code.charAt(start);
  let at = start + 1;
  while (at < code.length && code.charAt(at) !== quote) at += code.charAt(at) === "\\" ? 2 : 1;
  return at + 1;
}

/** Behind the backtick that ends the template, or behind the next `${`. */
function endOfTemplateText(code: string, start: number): number {
  let at = start;
  while (at < code.length && code.charAt(at) !== "`" && code.slice(at, at + 2) !== "${") {
    at += code.charAt(at) === "\\" ? 2 : 1;
  }
  return at + (code.charAt(at) === "`" ? 1 : 2);
}

/** The slash that ends a regular expression: one within brackets doesn't. */
function endOfLiteral(code: string, start: number): number {
  let inClass = false;
  let at = start + 1;
  while (at < code.length && (inClass || code.charAt(at) !== "/")) {
    const character = code.charAt(at);
    if (character === "[") inClass = true;
    else if (character === "]") inClass = false;
    at += character === "\\" ? 2 : 1;
  }
  return at;
}

/** Stand for the classes of characters, or are in none. */
const CHARACTERS = [" ", "a", "A", "0", "_", ".", "-", "\t", "\u0000"];
const MAX_CHARACTERS = 12;
const MAX_PAIRED = 5;
const ENDS = ["\u0000", "!", ""];

/** Texts of about that length on which backtracking may take long: a beginning, a part many times, an end that doesn't fit. */
export function* attacksOn(source: string): Generator<(length: number) => string> {
  const plain = source.replace(/\\[pP]\{[^}]*\}|\\[dDsSwWbB]|\(\?<?[\w!=:]*>?/g, "\uE000");
  const words = [...new Set(plain.replace(/\\(.)/g, "$1").match(/[^\uE000^$()[\]{}*+?|]+/g) ?? [])];
  const literal = [...new Set(plain.replace(/[\uE000\\^$()[\]{}*+?|]/g, ""))];
  const escaped = [...plain.matchAll(/\\([^\w\s])/g)].map(([, character = ""]) => character);
  const characters = [...new Set([...CHARACTERS, ...escaped, ...literal])].slice(0, MAX_CHARACTERS);
  const paired = characters.slice(0, MAX_PAIRED);
  const pairs = paired.flatMap((one) => paired.map((other) => one + other));
  const pumps = [...new Set([...characters, ...words.slice(0, 6), ...pairs])];
  const beginnings = ["", ...new Set([...words.slice(0, 4), ...escaped.slice(0, 2), "a"])];
  for (const pump of pumps) {
    for (const beginning of beginnings) {
      for (const end of ENDS) {
        yield (length) => beginning + pump.repeat(Math.ceil(length / pump.length)) + end;
      }
    }
  }
}
