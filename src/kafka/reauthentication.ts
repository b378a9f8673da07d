import Connection from "kafkajs/src/network/connection.js";

/** Part of a session after which a connection logs in again; Kafka's own clients do it between 85 and 95 percent. */
const RENEWED_AT = 0.85;
/** Brokers don't take a login sooner after the one before (KIP-368). Milliseconds. */
const SHORTEST_SESSION_MS = 1_000;

/**
 * Brokers end a session with its token, or after `connections.max.reauth.ms`. kafkajs 2.2.4 logs in again ten seconds
 * before, whatever the session's length: one that is shorter, or got a token of which less is left, would log in again for
 * every request, which brokers refuse as an illegal state. This measures by the session instead.
 */
export function mendReauthentication(): void {
  Connection.prototype.isAuthenticated = function () {
    if (this.authenticatedAt === null) return false;
    const session = Number(this.sessionLifetime.toString());
    if (session === 0) return true;
    const [seconds, nanoseconds] = process.hrtime(this.authenticatedAt);
    const age = seconds * 1_000 + nanoseconds / 1_000_000;
    return age < Math.max(SHORTEST_SESSION_MS, session * RENEWED_AT);
  };
}
