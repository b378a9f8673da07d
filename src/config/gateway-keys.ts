import { BlockList, isIPv6 } from "node:net";
import { z } from "zod";
import { listenHost, port, rate, text } from "./fields.ts";

export const apiKey = text(
  /^[\x21-\x7e]+$/,
  "expected a key of visible ASCII characters, without blanks, not empty",
);

const expectedOrigin =
  'expected an origin such as "https://www.example.com" (no path, no user name), or "*" for every web page there is';

/** As browsers write it: in lower case, without a default port. */
const webOrigin = text(/^(\*|https?:\/\/[^\s/?#@*]+)$/i, expectedOrigin).transform(
  (value, context): string => {
    if (value === "*") return value;
    if (URL.canParse(value)) return new URL(value).origin;
    context.addIssue({ code: "custom", message: expectedOrigin });
    return z.NEVER;
  },
);

const expectedRange =
  'expected an IP address, or a range of them such as "10.0.0.0/8" (not /0: anybody could then choose an address)';

const addressRange = text(/^[0-9a-fA-F:.]+(\/\d{1,3})?$/, expectedRange).refine(isAddressRange, {
  error: expectedRange,
});

function isAddressRange(value: string): boolean {
  const [address = "", bits] = value.split("/");
  const family = isIPv6(address) ? "ipv6" : "ipv4";
  const prefix = Number(bits ?? (family === "ipv6" ? 128 : 32));
  try {
    new BlockList().addSubnet(address, prefix, family);
    return prefix > 0;
  } catch {
    return false;
  }
}

/** The keys of `gateway`. */
export const gateway = z
  .strictObject({
    host: listenHost().default("127.0.0.1"),
    port: port().default(8_080),
    apiKeys: z
      .array(apiKey, "expected a list of keys")
      .default([])
      .describe(
        "Keys callers must present. None: no key is asked for, and web pages of other origins than cors.origins are refused.",
      ),
    requestsPerSecond: rate(0.01, 1_000_000)
      .default(1_000)
      .describe(
        "What one caller may ask: each key, and each address (IPv6: each /64) that presents none. More is answered 429.",
      ),
    trustedProxies: z
      .array(addressRange, "expected a list of addresses or ranges")
      .default([])
      .describe(
        "Reverse proxies whose X-Forwarded-For is believed; from anybody else it is ignored, and the connection's address counts.",
      ),
    cors: z
      .strictObject({
        origins: z
          .array(webOrigin, "expected a list of origins")
          .prefault([])
          .describe(
            "Web pages whose scripts may call; none: no CORS at all. Without apiKeys no other page's forms are taken either.",
          ),
      })
      .prefault({}),
  })
  .prefault({})
  .describe("The HTTP intake.");
