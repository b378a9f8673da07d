import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/**
 * Whether a request presents one of the keys, in `X-API-Key` or as a bearer token; anyone may pass when there are none.
 * Digests of equal length are compared, each with every key: how long that takes tells nothing of how near a guess was.
 */
export function createKeyCheck(apiKeys: readonly string[]): (headers: IncomingHttpHeaders) => boolean {
  if (apiKeys.length === 0) return () => true;
  const expected = apiKeys.map(digest);
  return (headers) => {
    const presented = digest(presentedKey(headers));
    return expected.map((key) => timingSafeEqual(key, presented)).includes(true);
  };
}

function presentedKey(headers: IncomingHttpHeaders): string {
  const key = headers["x-api-key"];
  if (typeof key === "string") return key;
  return /^Bearer +(\S+) *$/i.exec(headers.authorization ?? "")?.[1] ?? "";
}
