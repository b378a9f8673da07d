import { CommanderError } from "commander";
import { OptoutError } from "../errors.ts";

export interface Failure {
  /** For standard error, without a line end; empty if the user has been told already. */
  text: string;
  /** 1 failed, 2 wrong usage; 0 for what is no failure, such as `--help`. */
  exitCode: number;
}

/**
 * What the user sees of anything that ends a command. A failure that has a cure says it; only a defect of the program
 * shows a stack, without which nobody could find it.
 */
export function describeFailure(error: unknown): Failure {
  if (error instanceof CommanderError) return { text: "", exitCode: error.exitCode === 0 ? 0 : 2 };
  const isDefect =
    !(error instanceof OptoutError) || (error.code === "internal" && error.cause instanceof Error);
  if (!isDefect) {
    return { text: `optout-relay: ${error.message}`, exitCode: error.code === "usage" ? 2 : 1 };
  }
  return {
    text: `optout-relay: unexpected failure, please report it with these lines:\n${chainOf(error).join("\ncaused by ")}`,
    exitCode: 1,
  };
}

const MAX_CAUSES = 5;

function chainOf(error: unknown): string[] {
  const lines: string[] = [];
  for (let link = error; link !== undefined && link !== null && lines.length < MAX_CAUSES; ) {
    lines.push(link instanceof Error ? (link.stack ?? link.message) : String(link));
    link = link instanceof Error ? link.cause : undefined;
  }
  return lines;
}
