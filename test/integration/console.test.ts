import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { BrowserContextOptions, Page } from "playwright-core";
import type { ConfigInput } from "../../src/config/schema.ts";
import { findFreePorts } from "../../src/local-stack/ports.ts";
import { useBrowser, type WatchedPage } from "../support/browser.ts";
import {
  assertNoFaults,
  assertNoPhones,
  card,
  fitsTheScreen,
  headline,
  marksOf,
  othersHave,
  shows,
  textOf,
} from "../support/console.ts";
import { createScenario, optOut, optOuts, phoneOf, phones, type RelayProcess } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { assertOnEveryList } from "../support/verify.ts";
import { laneOf, listed } from "../support/views.ts";
import { waitFor } from "../support/wait.ts";

describe("the console", () => {
  const openPage = useBrowser();
  const open = (relay: RelayProcess, options?: BrowserContextOptions): Promise<WatchedPage> =>
    openPage(relay.url, options);
  after(releaseStack);

  test("says which environment is out, since when, how many people wait and what to do; and sees it heal", async () => {
    await using scenario = await createScenario();
    const relay = await scenario.startRelay();
    await using console = await open(relay);
    const { page } = console;
    await shows(page, headline, /^All is well: the 3 environments take opt-outs$/);
    await shows(page, "#headline-detail", /^Nobody waits\.$/);
    assert.equal(await page.title(), "Optout Relay");

    scenario.simulator.setFaults("us-west", { outage: true });
    await scenario.produce(optOuts(0, 150));
    await othersHave(scenario, 150);
    await shows(page, headline, /^us-west is out/);
    await shows(page, "#problems", /people waiting 150 longest wait (\d+ min )?\d+ s/);
    const { closure } = await laneOf(relay, "us-west");
    assert.ok(closure);
    const problem = await textOf(page, "#problems");
    const since = /since (?:.*, )?(\d\d:\d\d:\d\d) for (?:\d+ min )?\d+ s/.exec(problem)?.[1];
    // It is told from two clocks, of which one may run on between two looks.
    const near = await page.evaluate(
      `[-1000, 0, 1000].map((ms) => new Date(Date.parse(${JSON.stringify(closure.since)}) + ms).toTimeString().slice(0, 8))`,
    );
    assert.ok((near as unknown[]).includes(since), `${since} isn't among ${near}: ${problem}`);
    assert.match(problem, /What to do: Nothing to do at the relay/);
    assert.match(problem, /docs\/runbook\.md: OptoutEnvironmentUnavailable/);
    assert.match(await page.title(), /^us-west is out/);
    assert.equal(await textOf(page, "#headline-detail"), "production and eu-central take opt-outs as usual.");
    await shows(page, card("us-west"), /closed Pause .*since .* people waiting 150 /);
    await shows(page, card("production"), /open Pause takes opt-outs people waiting 0 /);
    await assertNoPhones(page, 150);

    scenario.simulator.setFaults("us-west", {});
    await shows(page, headline, /^All is well/);
    await shows(page, "#headline-detail", /^Nobody waits\.$/);
    await shows(page, "#delivered", /^150$/);
    await shows(page, card("us-west"), /open Pause takes opt-outs people waiting 0 /);
    assertOnEveryList(scenario, phones(0, 150));
    assertNoFaults(console);
  });

  test("a block for each batch and environment shows who has acknowledged, refused and yet to answer", async () => {
    // Long enough that a batch is cut by its size alone.
    await using scenario = await createScenario({ partitions: 1, batching: { maxWait: "5s" } });
    const { simulator } = scenario;
    simulator.setFaults("us-west", { outage: true });
    simulator.setFaults("eu-central", { rejectPhones: [phoneOf(60)] });
    const relay = await scenario.startRelay();
    await using console = await open(relay);
    const { page } = console;
    await scenario.produce(optOuts(0, 150));
    const expected = [
      ["a", "a", "a"],
      ["w", "w", "w"],
      ["a", "r", "a"],
    ];
    for (const [line, marks] of expected.entries()) {
      await waitFor(`line ${line} to be ${marks}`, async () => {
        const seen = await marksOf(page, 0, line);
        return seen.join() === marks.join();
      });
    }
    const second = page.locator(".batch").nth(1);
    assert.equal(
      await second.getAttribute("title"),
      "offsets 50 to 99, 50 phones\nproduction: acknowledged\nus-west: waiting\neu-central: refused",
    );
    assert.equal(
      await page.locator(".strip").getAttribute("aria-label"),
      "3 sealed batches; not answered by us-west yet",
    );
    await shows(page, ".partition", /committed 0 lag 150 ledger \d+ % used/);
    simulator.setFaults("us-west", {});
    await waitFor("the batches to be settled", async () => (await page.locator(".batch").count()) === 0);
    await shows(page, "#failed", /0:60 delivered in part refused by eu-central/);
    await shows(page, ".partition", /committed 150 lag 0/);
    await assertNoPhones(page, 150);
    assertNoFaults(console);
  });

  test("what was rejected is there by reason, with its offset; and what was settled with the time it took", async () => {
    await using scenario = await createScenario({ partitions: 1, batching: { maxWait: "2s" } });
    const relay = await scenario.startRelay();
    await using console = await open(relay);
    const { page } = console;
    await shows(page, "#reasons-none", /^None\.$/);
    const bad = ["x", '{"phone":"123"}', '{"phone":"1234"}', "{}"].map((value) => ({ key: "k", value }));
    await scenario.produce([...bad, optOut(1, { occurredAt: new Date(Date.now() - 90_000).toISOString() })]);
    await scenario.allSettled();
    await shows(page, "#reasons", /^invalid phone 2 /);
    const reasons = await textOf(page, "#reasons");
    for (const reason of ["undecodable 1", "missing phone 1"]) assert.ok(reasons.includes(reason), reasons);
    await shows(
      page,
      "#failed",
      /0:3 rejected missing phone .*0:2 rejected invalid phone .*0:0 rejected undecodable/,
    );
    await shows(page, "#settled", /0:0–4 1 delivered, 4 rejected 1 min 3\d s/);
    await shows(page, ".totals", /delivered 1 in part 0 rejected 4/);
    assertNoFaults(console);
  });

  test("it fits a phone, in the light and in the dark, in health and in an outage", async () => {
    await using scenario = await createScenario({ partitions: 4 });
    const relay = await scenario.startRelay();
    const backgrounds = new Set<string>();
    for (const colorScheme of ["light", "dark"] as const) {
      await using console = await open(relay, { colorScheme, viewport: { width: 360, height: 740 } });
      const { page } = console;
      await shows(page, headline, /^All is well/);
      assert.ok(await fitsTheScreen(page));
      backgrounds.add(await page.evaluate("getComputedStyle(document.body).backgroundColor"));
      await page.getByRole("button", { name: "Pause us-west" }).click();
      assert.ok(await fitsTheScreen(page));
      assertNoFaults(console);
    }
    assert.equal(backgrounds.size, 2);

    scenario.simulator.setFaults("us-west", { outage: true });
    scenario.simulator.setFaults("eu-central", { rejectPhones: [phoneOf(10)] });
    await scenario.produce([...optOuts(0, 2_000), { key: "k", value: "x" }]);
    await waitFor("the others to have theirs", () => listed(scenario, "production") === 2_000);
    await using console = await open(relay, { viewport: { width: 360, height: 740 } });
    await shows(console.page, headline, /^us-west is out/);
    await waitFor("its batches", async () => (await console.page.locator(".mark-w").count()) > 20);
    assert.ok(await fitsTheScreen(console.page));
    await assertNoPhones(console.page, 2_000);
    assertNoFaults(console);
  });

  test("a thousand sealed batches: the oldest are drawn, the rest is counted", async () => {
    await using scenario = await createScenario({
      partitions: 1,
      batching: { maxEntries: 2, maxWait: "100ms", maxPendingEntries: 1_900 },
    });
    scenario.simulator.setFaults("us-west", { outage: true });
    const relay = await scenario.startRelay();
    await using console = await open(relay);
    const { page } = console;
    await scenario.produce(optOuts(0, 2_400));
    await shows(page, ".partition", /not read on: full/);
    await shows(page, ".more >> nth=1", /^9\d\d sealed batches; the oldest 2\d\d are shown, \+\d{3} more$/);
    await shows(page, "#problems", /Partition 0: not read any further/);
    assert.equal(await page.locator(".batch").count(), await drawn(page));
    assert.ok(await fitsTheScreen(page));
    const answer = await (await fetch(`${relay.url}/state`)).text();
    assert.ok(answer.length < 64 * 1024, `${answer.length} bytes`);
    assertNoFaults(console);
  });

  test("once the relay is gone it says so, since when, and shows nothing old as new; and it finds it again", async () => {
    await using scenario = await createScenario();
    const [port = 0] = await findFreePorts(1);
    const change = (config: ConfigInput) => {
      config.server = { port };
    };
    const first = await scenario.startRelay({ change });
    await using console = await open(first);
    const { page } = console;
    await shows(page, headline, /^All is well/);
    assertNoFaults(console);
    first.kill("SIGKILL");
    await shows(page, headline, /^No connection to the relay since \d\d:\d\d:\d\d$/);
    await shows(page, "#connection", /^no connection$/);
    assert.equal(await page.locator("#content").getAttribute("class"), "stale");
    assert.match(await page.title(), /^No connection/);
    assert.deepEqual(console.strayRequests, []);

    await scenario.startRelay({ change });
    await shows(page, headline, /^All is well/);
    assert.equal(await page.locator("#content").getAttribute("class"), "");
  });

  test("it asks each second, and seldom while nobody looks, without calling the relay lost", async () => {
    await using scenario = await createScenario();
    const relay = await scenario.startRelay();
    await using console = await openPage(relay.url, {}, (page) => page.clock.install());
    const { page, polls, pollsEnded } = console;
    /** Seconds of the page's clock; none passes while an answer is on its way, or it would be given up. */
    const pass = async (seconds: number): Promise<void> => {
      for (let second = 0; second < seconds; second++) {
        await page.clock.runFor(1_000);
        await waitFor("the answer", () => pollsEnded() === polls());
      }
    };
    const setVisibility = (state: "visible" | "hidden"): Promise<void> =>
      page.evaluate(`
        Object.defineProperty(document, "visibilityState", { value: "${state}", configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      `);
    await shows(page, headline, /^All is well/);
    const seen = polls();
    await waitFor("another look", async () => {
      await pass(1);
      return polls() > seen;
    });
    await shows(page, "#connection", /^live/);

    await setVisibility("hidden");
    const before = polls();
    await pass(10);
    assert.ok(polls() <= before + 1, `${polls() - before} looks`);
    assert.equal(await page.title(), "Optout Relay");
    await waitFor("a look after all", async () => {
      await pass(5);
      return polls() > before + 1;
    });
    assert.equal(await page.title(), "Optout Relay");
    const unseen = polls();
    await setVisibility("visible");
    await waitFor("a look at once", () => polls() > unseen);
    await shows(page, headline, /^All is well/);
    assertNoFaults(console);
  });
});

async function drawn(page: Page): Promise<number> {
  const text = await textOf(page, ".more >> nth=1");
  return Number(/the oldest (\d+) are shown/.exec(text)?.[1]);
}
