import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  parseDocument,
  visit,
} from "yaml";
import { messageOf } from "../errors.ts";
import type { Path } from "./tree.ts";

/** A line to look at, and what is wrong there. */
export interface SyntaxFault {
  line: number | undefined;
  says: string;
}

export interface ConfigDocument {
  tree: unknown;
  faults: SyntaxFault[];
  /** Whether the tree is worth validating: after a broken quote or indent everything else would be noise. */
  usable: boolean;
  /** The line of a key or list item, or of its nearest ancestor in the file. */
  lineOf: (path: Path) => number | undefined;
}

/** Aliases in one file: far above honest use, far below an alias bomb. */
const maxAliases = 200;
const maxDepth = 32;
/** Of mappings, in one file: the YAML library compares each with all before it. */
const maxKeys = 10_000;
/** Columns. */
const maxIndent = 200;
const tooDeep = `nested deeper than ${maxDepth} levels`;
const tooMany = `more than ${maxKeys} keys`;

/**
 * What the YAML library's codes mean to someone looking at the file. Its own messages aren't used, since some quote the
 * file: a password that begins with `*`, `!` or `|` is read as YAML's syntax.
 */
const meanings: Readonly<Record<string, string>> = {
  BAD_ALIAS: "a value beginning with * is an alias, and no anchor (&) of its name comes before: quote it",
  BAD_DQ_ESCAPE:
    'a backslash in a "double-quoted" text begins an escape, and this is none: double it or use single quotes',
  BAD_INDENT: "the indentation doesn't fit, or a bracket is not closed",
  BAD_SCALAR_START: "a value can't begin with this character: quote it",
  BLOCK_AS_IMPLICIT_KEY: "a second key on one line, or a colon in a value that is not quoted",
  DUPLICATE_KEY: "this key was given before in the same mapping: keep one of them",
  MISSING_CHAR: "something is missing here: a closing quote, a comma, a colon or a blank after one",
  MULTILINE_IMPLICIT_KEY: "a key must be on one line; is a colon or the indentation missing?",
  MULTIPLE_DOCS: "a second document begins here (---): only one is allowed",
  RESOURCE_EXHAUSTION: "nested too deep",
  TAB_AS_INDENT: "a tab in the indentation: use blanks",
  TAG_RESOLVE_FAILED: "a value beginning with ! is a tag, and there is none of this name: quote it",
  UNEXPECTED_TOKEN: "text that can't stand here: is a quote, a comma or the indentation wrong?",
};

/** Parses YAML 1.2, and JSON as the part of it that it is. What is wrong is in `faults`, never thrown. */
export function readDocument(text: string): ConfigDocument {
  const bomb = (says: string): ConfigDocument => ({
    tree: undefined,
    faults: [{ line: undefined, says }],
    usable: false,
    lineOf: () => undefined,
  });
  const excess = excessOf(text);
  if (excess !== undefined) return bomb(excess);
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof RangeError) return bomb(tooDeep);
    const message = messageOf(error);
    if (/alias count/i.test(message)) return bomb("aliases (*) that repeat each other too often");
    if (/merge sources/i.test(message))
      return bomb("a merge key (<<) takes a mapping, an alias of one, or a list of these");
    return bomb("not valid YAML");
  }
}

/**
 * The library's parser is recursive, and a stack used up within a regular expression ends the process instead of
 * throwing. Its lexer isn't. A level takes a bracket, an indicator within a line, or a column of indentation.
 */
function excessOf(text: string): string | undefined {
  let brackets = 0;
  let indicators = 0;
  let keys = 0;
  let atLineStart = true;
  for (const token of new Lexer().lex(text)) {
    if (token === "[" || token === "{") brackets++;
    else if (token === "]" || token === "}") brackets--;
    else if (brackets === 0 && /^[-?:]$/.test(token)) indicators++;
    // Each key has a colon or a question mark; or, within braces, neither, but a comma behind it.
    if (/^[?:,]$/.test(token)) keys++;
    if (keys > maxKeys) return tooMany;
    if (brackets > maxDepth || indicators > maxDepth) return tooDeep;
    if (atLineStart && token.length > maxIndent && token.trim() === "") return tooDeep;
    atLineStart = token.endsWith("\n");
    if (atLineStart) indicators = 0;
  }
  return undefined;
}

function parse(text: string): ConfigDocument {
  const lines = new LineCounter();
  // Its warnings are for programmers, and quote the file.
  const options = { prettyErrors: false, lineCounter: lines, merge: true, logLevel: "error" } as const;
  const document = parseDocument(text, options);
  const lineAt = (offset: number): number => lines.linePos(offset).line;
  const problems = [...document.errors, ...document.warnings];
  const aliasFaults = faultsOfAliases(document, lineAt);
  const usable =
    aliasFaults.length === 0 &&
    problems.every(({ code }) => code === "DUPLICATE_KEY" || code === "TAG_RESOLVE_FAILED");
  return {
    // Its own limit counts an alias within an anchor's content as often as the anchor is used.
    tree: usable ? document.toJS({ maxAliasCount: maxAliases }) : undefined,
    faults: [
      ...problems.map(({ code, pos }) => ({
        line: lineAt(pos[0]),
        says: meanings[code] ?? `not valid YAML (${code.toLowerCase().replaceAll("_", " ")})`,
      })),
      ...aliasFaults,
    ],
    usable,
    lineOf: (path) => lineOfPath(document, path, lineAt),
  };
}

function faultsOfAliases(document: Document.Parsed, lineAt: (offset: number) => number): SyntaxFault[] {
  const aliases: Alias[] = [];
  visit(document, { Alias: (_, alias) => void aliases.push(alias) });
  // Counted first: looking one up walks the document.
  if (aliases.length > maxAliases) return [{ line: undefined, says: `more than ${maxAliases} aliases (*)` }];
  return aliases
    .filter((alias) => !alias.resolve(document))
    .map((alias) => ({ line: lineOfNode(alias, lineAt), says: meanings.BAD_ALIAS ?? "" }));
}

function lineOfPath(
  document: Document.Parsed,
  path: Path,
  lineAt: (offset: number) => number,
): number | undefined {
  let node: unknown = document.contents;
  let line: number | undefined;
  for (const segment of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(segment));
      if (!pair) break;
      line = lineOfNode(pair.key, lineAt) ?? line;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(segment)];
      line = lineOfNode(node, lineAt) ?? line;
    } else break;
  }
  return line;
}

function lineOfNode(node: unknown, lineAt: (offset: number) => number): number | undefined {
  if (typeof node !== "object" || node === null || !("range" in node) || !Array.isArray(node.range))
    return undefined;
  const start: unknown = node.range[0];
  return typeof start === "number" ? lineAt(start) : undefined;
}
