import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { useBrowser } from "../support/browser.ts";
import { assertNoFaults, headline, shows } from "../support/console.ts";
import { finished } from "../support/process.ts";
import { say } from "../support/raw-http.ts";
import { createScenario, optOuts, phones } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { assertOnEveryList } from "../support/verify.ts";
import { waitFor } from "../support/wait.ts";

/** As the relay's server has it. */
const MAX_CONNECTIONS = 256;
const ASK = "GET /state HTTP/1.1\r\nhost: a\r\n\r\n";

/** Somebody who asks for the state, as often as one connection may at once, and doesn't read the answers. */
function watchWithoutReading(url: string) {
  const viewer = say(url, ASK.repeat(32));
  viewer.socket.pause();
  return viewer;
}

describe("those who look at the console", () => {
  const openPage = useBrowser();
  after(releaseStack);

  test("don't keep a relay that is told to end, whether they read or not; its page says that it is gone", async () => {
    await using scenario = await createScenario();
    const relay = await scenario.startRelay();
    await using console = await openPage(relay.url);
    await shows(console.page, headline, /^All is well/);
    const unread = Array.from({ length: 20 }, () => watchWithoutReading(relay.url));
    await scenario.produce(optOuts(0, 200));
    await scenario.allSettled();
    relay.kill("SIGTERM");
    assert.equal(await finished(relay), 0);
    await shows(console.page, headline, /^No connection to the relay since \d\d:\d\d:\d\d$/);
    for (const { socket } of unread) socket.destroy();
    assertOnEveryList(scenario, phones(0, 200));
  });

  test("are turned away once they are too many; who was there before goes on seeing, and opt-outs go on", async () => {
    await using scenario = await createScenario();
    const relay = await scenario.startRelay();
    await using console = await openPage(relay.url);
    const { page, polls } = console;
    await shows(page, headline, /^All is well/);
    const crowd = Array.from({ length: MAX_CONNECTIONS + 100 }, () => say(relay.url, ASK));
    await waitFor(
      "those beyond the bound to be turned away",
      () => crowd.filter(({ isClosed }) => isClosed).length >= 100,
    );
    const seen = polls();
    await scenario.produce(optOuts(0, 200));
    await scenario.allSettled();
    assertOnEveryList(scenario, phones(0, 200));
    await waitFor("further looks", () => polls() > seen + 2);
    await shows(page, "#delivered", /^200$/);
    for (const { socket } of crowd) socket.destroy();

    await using later = await openPage(relay.url);
    await shows(later.page, headline, /^All is well/);
    assertNoFaults(console);
  });
});
