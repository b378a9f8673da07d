import { z } from "zod";
import { isSuccess, jsonOf } from "./answers.ts";
import type { HttpResponse, HttpSend } from "./dialect.ts";

export type Discovered =
  | { ok: true; url: string }
  /**
   * `detail` is for people. The response may be a success that holds no usable address; `isGarbage` if it isn't even such a
   * document, but what something on the way, or an issuer in trouble, says instead.
   */
  | { ok: false; response: HttpResponse; detail: string; isGarbage: boolean };

export interface DiscoveryDocument {
  issuer: string;
  /** Of the document, below the issuer. */
  path: string;
  /** The property that holds the address. */
  property: string;
}

/**
 * Reads an address from a document that the issuer publishes (OpenID Connect Discovery 1.0, 4). Another host is fine,
 * but credentials and phones will go there: from https it may not lead to plain http. Throws as `send` does.
 */
export async function discover(
  send: HttpSend,
  { issuer, path, property }: DiscoveryDocument,
  signal: AbortSignal,
): Promise<Discovered> {
  const response = await send({
    method: "GET",
    url: issuer + path,
    headers: { accept: "application/json" },
    body: "",
    signal,
  });
  const failure = (detail: string, isGarbage = false): Discovered => ({
    ...{ ok: false, response, detail, isGarbage },
  });
  if (!isSuccess(response))
    return failure(`the issuer answered ${response.status} when asked for ${property}`);
  const text = z
    .record(z.string(), z.unknown())
    .transform((document) => (Object.hasOwn(document, property) ? document[property] : undefined))
    .pipe(z.string())
    .safeParse(jsonOf(response)).data;
  if (text === undefined || !URL.canParse(text)) {
    return failure(`the issuer gives no ${property}`, true);
  }
  const url = new URL(text);
  const isEncrypted = url.protocol === "https:";
  if (!isEncrypted && (url.protocol !== "http:" || issuer.startsWith("https:"))) {
    return failure(`the ${property} that the issuer gives is not https, so nothing is sent there`);
  }
  if (url.username !== "" || url.password !== "" || url.hash !== "") {
    return failure(`the ${property} that the issuer gives is no plain address`);
  }
  return { ok: true, url: url.href };
}
