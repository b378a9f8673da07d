import assert from "node:assert/strict";
import { test } from "node:test";
import Connection from "kafkajs/src/network/connection.js";
import { mendReauthentication } from "../../src/kafka/reauthentication.ts";

mendReauthentication();

/** Whether a connection that logged in so many milliseconds ago may send requests without another login. */
function isAuthenticated(session: number, age: number | null): boolean {
  const [seconds, nanoseconds] = process.hrtime();
  const at =
    age === null ? null : BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds) - BigInt(age) * 1_000_000n;
  return Connection.prototype.isAuthenticated.call({
    ...Connection.prototype,
    authenticatedAt: at === null ? null : [Number(at / 1_000_000_000n), Number(at % 1_000_000_000n)],
    sessionLifetime: BigInt(session),
  });
}

test("a connection logs in again after 85 percent of its session, however short that is", () => {
  for (const session of [4_000, 9_000, 60_000, 3_600_000]) {
    assert.equal(isAuthenticated(session, 0), true, `${session} ms, just now`);
    assert.equal(isAuthenticated(session, Math.floor(session * 0.84)), true, `${session} ms, before`);
    assert.equal(isAuthenticated(session, Math.ceil(session * 0.85)), false, `${session} ms, after`);
  }
});

test("it doesn't log in twice within a second, which brokers refuse", () => {
  assert.equal(isAuthenticated(100, 900), true);
  assert.equal(isAuthenticated(100, 1_000), false);
});

test("a session without end needs one login", () => {
  assert.equal(isAuthenticated(0, null), false);
  assert.equal(isAuthenticated(0, 1_000_000), true);
});
