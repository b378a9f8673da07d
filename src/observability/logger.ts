import { createRequire } from "node:module";
import { type DestinationStream, type Logger, pino } from "pino";

export type { Logger } from "pino";

export interface LoggingOptions {
  level: string;
  format: "json" | "text";
}

const NEVER_LOGGED = [
  "clientSecret",
  "password",
  "accessKeySecret",
  "authorization",
  "token",
  "apiKeys",
  "adminToken",
  "idempotencyKey",
  "phone",
];

/**
 * The process's logger. Writes synchronously to stdout, so that the last line before an exit is not lost.
 * Secrets are never passed to it; the paths below are a second lock on that door.
 */
export function createLogger(options: LoggingOptions, destination?: DestinationStream): Logger {
  const base = {
    level: options.level,
    base: {},
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: NEVER_LOGGED.flatMap((key) => [key, `*.${key}`]),
  };
  if (options.format === "text") {
    // For people at a terminal, and so not loaded elsewhere.
    const pretty: typeof import("pino-pretty") = createRequire(import.meta.url)("pino-pretty");
    return pino(
      base,
      pretty({ sync: true, colorize: process.stdout.isTTY, ...(destination && { destination }) }),
    );
  }
  return pino(base, destination ?? pino.destination({ dest: 1, sync: true }));
}

/** A logger for libraries' parts that must stay silent, and for tests. */
export const silentLogger = (): Logger => pino({ level: "silent" });
