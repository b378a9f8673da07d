import { once } from "node:events";
import { createReadStream } from "node:fs";
import { Command } from "commander";
import { whyUnreadable } from "../config/read-text.ts";
import { OptoutError } from "../errors.ts";
import { createDecoder, type Decoder } from "../events/decode.ts";
import type { RejectReason } from "../events/event.ts";
import { parseRegion } from "./region.ts";

/** What the command prints of a line. Here the normalised phone is the purpose, so it is shown whole. */
export interface LintResult {
  /** Counted from 1. */
  line: number;
  outcome: "ok" | "rejected";
  phone: string | null;
  reason: RejectReason | null;
  detail: string | null;
}

export interface LintSummary {
  ok: number;
  rejected: number;
}

export interface LintOptions {
  /** ISO 3166 alpha-2. */
  defaultRegion: string;
}

type Chunks = AsyncIterable<Uint8Array | string>;

/**
 * Decodes each line of NDJSON as the relay would a record, and writes what comes of it as a line of NDJSON.
 * Blank lines are skipped, but counted in the line numbers.
 */
export async function lint(
  input: Chunks,
  write: (line: string) => void | Promise<void>,
  options: LintOptions,
): Promise<LintSummary> {
  const decode = createDecoder({
    normalization: { defaultRegion: options.defaultRegion, regionBySource: {} },
    schemas: null,
  });
  const summary: LintSummary = { ok: 0, rejected: 0 };
  let line = 0;
  for await (const value of splitLines(input)) {
    line += 1;
    if (value !== "too_long" && isBlank(value)) continue;
    const result: LintResult = { line, ...judge(value, decode) };
    summary[result.outcome] += 1;
    await write(`${JSON.stringify(result)}\n`);
  }
  return summary;
}

type Line = Buffer | "too_long";

/** More than a Kafka broker takes by default (1 MiB), and a bound on the memory that an endless line can claim. */
const MAX_LINE_BYTES = 4 * 1024 * 1024;
const NEWLINE = 0x0a;

/** Lines as bytes: an undecodable one must reach the decoder as it is. */
async function* splitLines(input: Chunks): AsyncGenerator<Line> {
  let parts: Buffer[] = [];
  let length = 0;
  const keep = (part: Buffer): void => {
    length += part.length;
    if (length > MAX_LINE_BYTES) parts = [];
    else parts.push(part);
  };
  const take = (): Line => {
    const line = length > MAX_LINE_BYTES ? "too_long" : Buffer.concat(parts);
    parts = [];
    length = 0;
    return line;
  };
  for await (const chunk of input) {
    let rest = Buffer.from(chunk);
    for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
      keep(rest.subarray(0, end));
      yield take();
      rest = rest.subarray(end + 1);
    }
    keep(rest);
  }
  if (length > 0) yield take();
}

const isBlank = (line: Buffer): boolean =>
  line.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);

function judge(line: Line, decode: Decoder): Omit<LintResult, "line"> {
  if (line === "too_long") return rejected("undecodable", `longer than ${MAX_LINE_BYTES} bytes`);
  const decoded = decode({ value: line });
  if ("schemaId" in decoded) return rejected("undecodable", "needs a schema registry");
  if (!decoded.ok) return rejected(decoded.reason, decoded.detail);
  return { outcome: "ok", phone: decoded.event.phone, reason: null, detail: null };
}

const rejected = (reason: RejectReason, detail: string): Omit<LintResult, "line"> => ({
  outcome: "rejected",
  phone: null,
  reason,
  detail,
});

/** `optout-relay lint`: for producers, needs no Kafka. Exit code 1 if any line was rejected. */
export const lintCommand = (): Command =>
  new Command("lint")
    .description("check events, one JSON object a line, as the relay would; needs no Kafka")
    .argument("[file]", "NDJSON file; standard input without one, or for -")
    .option("--default-region <code>", "region of phones without a country code", parseRegion, "US")
    .option("--json", "changes nothing: what it prints is JSON, an object a line")
    .addHelpText("after", HELP)
    .action(async (file: string | undefined, { defaultRegion }: LintOptions) => {
      process.stdout.on("error", leaveOnClosedPipe);
      const summary = await lint(readInput(file), writeOut, { defaultRegion });
      process.stderr.write(`${summary.ok} ok, ${summary.rejected} rejected\n`);
      if (summary.rejected > 0) process.exitCode = 1;
    });

const HELP = `
Prints {"line", "outcome": "ok" or "rejected", "phone", "reason", "detail"} for every line that isn't blank.
Exit code: 0 all would be delivered, 1 some would be rejected, 2 wrong usage.

  echo '{"phone": "(212) 555-0123", "source": "web"}' | optout-relay lint
`;

async function* readInput(file: string | undefined): Chunks {
  if (file === undefined || file === "-") {
    if (process.stdin.isTTY) process.stderr.write("Reading events from the terminal; Ctrl-D ends them.\n");
    yield* process.stdin;
    return;
  }
  try {
    yield* createReadStream(file);
  } catch (error) {
    throw new OptoutError(
      "usage",
      `Cannot read ${JSON.stringify(file)}: ${whyUnreadable(error)}. Name a readable NDJSON file.`,
      { cause: error },
    );
  }
}

/** Waits for a slow reader. */
async function writeOut(line: string): Promise<void> {
  if (!process.stdout.write(line)) await once(process.stdout, "drain");
}

/** A reader that left (`| head`) ends the command quietly, as SIGPIPE would: nobody wants the rest. */
function leaveOnClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(0);
}
