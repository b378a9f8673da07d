import { isIP } from "node:net";
import type { Config } from "../config/schema.ts";
import { type Area, about, type Finding, warning } from "./finding.ts";

const CHECK = "encryption";

/** What would cross a network in clear. Pure. */
export function checkEncryption({ kafka, schemaRegistry, environments }: Config): Finding[] {
  const findings: Finding[] = [];
  const warn = (area: Area, name: string, detail: string, remedy: string): void => {
    findings.push(...about(area, name, [warning(CHECK, detail, remedy)]));
  };
  const far = kafka.brokers.find((address) => !isLoopback(address.replace(/:\d+$/, "")));
  if (far !== undefined && kafka.ssl === false) {
    const what = kafka.sasl === undefined ? "phones cross" : "phones and the login cross";
    warn(
      "broker",
      far,
      `kafka.ssl is false: ${what} the network in clear`,
      "Set kafka.ssl, and use the brokers' TLS port.",
    );
  }
  if (typeof kafka.ssl === "object" && !kafka.ssl.rejectUnauthorized) {
    const detail = "kafka.ssl.rejectUnauthorized is false: anybody in between can pose as the broker";
    warn(
      "broker",
      kafka.brokers[0] ?? "",
      detail,
      "Set kafka.ssl.caFile to the authority of its certificate instead.",
    );
  }
  if (schemaRegistry?.password !== undefined && isClear(schemaRegistry.url)) {
    const detail = "plain http: the password crosses the network in clear";
    warn("registry", "", detail, "Use https in schemaRegistry.url.");
  }
  environments.forEach((environment, index) => {
    const urls = [
      environment.baseUrl,
      ...("tokenUrl" in environment.auth ? [environment.auth.tokenUrl ?? ""] : []),
    ];
    if (!urls.some(isClear)) return;
    const detail = "plain http: its credentials, and phones, cross the network in clear";
    warn("environment", environment.name, detail, `Use https in environments[${index}].`);
  });
  return findings;
}

function isClear(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return protocol === "http:" && !isLoopback(hostname.replace(/^\[|\]$/g, ""));
}

const isLoopback = (host: string): boolean =>
  host === "localhost" ||
  host.endsWith(".localhost") ||
  host === "::1" ||
  (isIP(host) === 4 && host.startsWith("127."));
