import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

/** Milliseconds after which keys are looked up again: they may be in files that are rotated. */
const FRESH_MS = 5_000;

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** What a request's key stands for: the same text for the same key. Undefined without a valid one. */
type FindKey = (headers: IncomingHttpHeaders) => string | undefined;

/**
 * Digests of equal length are compared, each with every key: how long that takes tells nothing of how near a guess was.
 */
function createKeyFinder(apiKeys: readonly string[]): FindKey {
  const expected = apiKeys.map(digest);
  return (headers) => {
    const presented = digest(presentedKey(headers));
    const found = expected.map((key) => timingSafeEqual(key, presented)).includes(true);
    return found ? presented.toString("base64") : undefined;
  };
}

/**
 * Whether a request presents one of the keys, in `X-API-Key` or as a bearer token; anyone may pass when there are none.
 */
export function createKeyCheck(apiKeys: readonly string[]): (headers: IncomingHttpHeaders) => boolean {
  if (apiKeys.length === 0) return () => true;
  const find = createKeyFinder(apiKeys);
  return (headers) => find(headers) !== undefined;
}

export interface Keyring {
  /** Whether callers need a key at all. */
  readonly required: boolean;
  find: FindKey;
}

/** Keys that may change while the process runs; `now` in milliseconds. */
export function createKeyring(read: () => readonly string[], now: () => number): Keyring {
  let keys = read();
  let find = createKeyFinder(keys);
  let readAt = now();

  return {
    required: keys.length > 0,
    find(headers) {
      if (now() - readAt >= FRESH_MS) {
        readAt = now();
        const next = read();
        if (next !== keys) find = createKeyFinder(next);
        keys = next;
      }
      return find(headers);
    },
  };
}

function presentedKey(headers: IncomingHttpHeaders): string {
  const key = headers["x-api-key"];
  if (typeof key === "string") return key;
  return /^Bearer +(\S+) *$/i.exec(headers.authorization ?? "")?.[1] ?? "";
}
