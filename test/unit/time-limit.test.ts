import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { timeLimit } from "../../src/time-limit.ts";

test("a limit ends what waits for it, however often memory is collected meanwhile", async () => {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const other = new AbortController();
  const reason = new Promise<unknown>((resolve) => {
    const signal = timeLimit(200, other.signal);
    signal.addEventListener("abort", () => resolve(signal.reason), { once: true });
  });
  const collecting = setInterval(collect, 10);
  const patience = new AbortController();
  const inVain = sleep(30_000, "it never fired", { signal: patience.signal }).catch(() => undefined);
  try {
    const ended = await Promise.race([reason, inVain]);
    assert.equal((ended as Error).name, "TimeoutError");
  } finally {
    clearInterval(collecting);
    patience.abort();
  }
});

test("one of the signals ends it before", () => {
  const other = new AbortController();
  const signal = timeLimit(60_000, other.signal);
  other.abort(new Error("closed"));
  assert.equal(signal.reason.message, "closed");
});

test("nothing else combines a time limit that nobody holds", () => {
  const files = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".ts"),
  );
  assert.ok(files.length > 100);
  const combined = files.filter((name) =>
    /AbortSignal\.any\([^;]*AbortSignal\.timeout/s.test(readFileSync(join("src", name), "utf8")),
  );
  assert.deepEqual(combined, []);
});
