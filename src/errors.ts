/** Closed list of the reasons the product itself can give. User-facing text comes from the message, decisions from the code. */
export const ERROR_CODES = [
  "configuration",
  "usage",
  "kafka_unreachable",
  "kafka_unauthorized",
  "topic_missing",
  "registry_unreachable",
  "local_stack",
  "ledger_capacity",
  "internal",
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/**
 * The one error family that reaches users. `message` says what happened, to what, and what to do about it;
 * it never holds a phone number or a secret.
 */
export class OptoutError extends Error {
  override readonly name = "OptoutError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** The message of anything that can be thrown, without a stack. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Why a server can't listen on its address, for people. */
export const whyNotListening = (error: unknown): string =>
  error instanceof Error && "code" in error && error.code === "EADDRINUSE"
    ? "another process has it"
    : messageOf(error);
