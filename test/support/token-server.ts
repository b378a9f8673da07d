import { generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface TokenServer {
  readonly url: string;
  /** Secrets of the clients that it knows, by id. */
  readonly clients: Map<string, string>;
  /** Of the tokens issued from now on, in seconds. */
  lifetime: number;
  /** How many tokens a client was given. */
  issued(client: string): number;
  close(): Promise<void>;
}

/** Whom its tokens are for. */
export const AUDIENCE = "kafka-cluster";
export const ISSUER = "https://tokens.example.com";
export const CLIENT = { id: "relay-at-kafka", secret: "token-Horse-4410" };

const encode = (part: unknown): string => Buffer.from(JSON.stringify(part)).toString("base64url");

/**
 * A client-credentials token server (RFC 6749, 4.4) whose JSON web tokens a broker can verify: it writes its public key to
 * `jwksFile`. It knows CLIENT.
 */
export async function createTokenServer(jwksFile: string): Promise<TokenServer> {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 });
  const kid = randomUUID();
  const jwk = { ...publicKey.export({ format: "jwk" }), kid, use: "sig", alg: "RS256" };
  await writeFile(jwksFile, JSON.stringify({ keys: [jwk] }));

  const settings = { clients: new Map([[CLIENT.id, CLIENT.secret]]), lifetime: 3_600 };
  const issued = new Map<string, number>();
  const issue = (sub: string): string => {
    const iat = Math.floor(Date.now() / 1_000);
    const exp = iat + settings.lifetime;
    const claims = { sub, iat, exp, iss: ISSUER, aud: AUDIENCE, scope: "kafka", jti: randomUUID() };
    const signed = `${encode({ alg: "RS256", kid, typ: "JWT" })}.${encode(claims)}`;
    issued.set(sub, (issued.get(sub) ?? 0) + 1);
    return `${signed}.${sign("RSA-SHA256", Buffer.from(signed), privateKey).toString("base64url")}`;
  };

  const server = createServer(({ headers: { authorization = "" } }, response) => {
    const [id = "", secret] = Buffer.from(authorization.replace(/^Basic /, ""), "base64")
      .toString()
      .split(":");
    if (settings.clients.get(id) === secret) {
      response.end(JSON.stringify({ access_token: issue(id), expires_in: settings.lifetime }));
    } else {
      response.writeHead(401).end(`{"error":"invalid_client"}`);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return Object.assign(settings, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    issued: (client: string) => issued.get(client) ?? 0,
    async close() {
      server.closeAllConnections();
      server.close();
    },
  });
}
