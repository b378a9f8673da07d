import type { IncomingHttpHeaders } from "node:http";
import { BlockList, isIPv6 } from "node:net";
import { createKeyCheck } from "../gateway/auth.ts";

/** Why a caller may not change how the relay runs. */
export interface Refusal {
  status: 401 | 403;
  message: string;
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8);
loopback.addAddress("::1", "ipv6");

/** A name or address that no DNS answer can lead elsewhere, with or without a port. */
const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i;

/**
 * Says whether a request may change how the relay runs: with the token, if one is configured. Without one, everybody on
 * the machine may if the server listens on loopback addresses only, and nobody else; `addresses` are those it is bound to.
 *
 * A browser on the machine isn't everybody: a page from anywhere can make it send a POST to a loopback address, under its
 * own name even, if that name's DNS answer becomes a loopback address once the page is there (DNS rebinding).
 */
export function createOperatorCheck(
  adminToken: string | undefined,
  addresses: () => readonly string[],
): (headers: IncomingHttpHeaders) => Refusal | undefined {
  if (adminToken !== undefined) {
    const mayPass = createKeyCheck([adminToken]);
    return ({ authorization }) =>
      mayPass({ authorization })
        ? undefined
        : { status: 401, message: "give server.adminToken as a bearer token: Authorization: Bearer <token>" };
  }
  return (headers) => {
    const message = problemOf(headers, addresses());
    return message === undefined ? undefined : { status: 403, message };
  };
}

function problemOf(headers: IncomingHttpHeaders, addresses: readonly string[]): string | undefined {
  const isLoopback = (address: string) => loopback.check(address, isIPv6(address) ? "ipv6" : "ipv4");
  if (addresses.length === 0 || !addresses.every(isLoopback)) {
    return "the relay listens beyond this machine, so this takes a token: set server.adminToken, and give it as a bearer token";
  }
  const { host = "", origin } = headers;
  if (!LOOPBACK_HOST.test(host)) {
    return "without server.adminToken this is for callers on this machine only: ask 127.0.0.1 or localhost, or set server.adminToken";
  }
  const site = headers["sec-fetch-site"] ?? "none";
  // Another port of this machine is another origin, though of the same site.
  if ((origin !== undefined && origin !== `http://${host}`) || (site !== "same-origin" && site !== "none")) {
    return "without server.adminToken no web page from elsewhere may do this: set server.adminToken";
  }
  return undefined;
}
