import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { ConfigInput } from "../../src/config/schema.ts";
import { useBrowser } from "../support/browser.ts";
import { assertNoFaults, card, headline, othersHave, shows } from "../support/console.ts";
import { createScenario, optOuts, phones } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { assertOnEveryList } from "../support/verify.ts";
import { laneOf, listed, stateOf } from "../support/views.ts";

describe("pausing an environment in the console", () => {
  const openPage = useBrowser();
  after(releaseStack);

  test("an environment is paused and resumed by a click, once that is confirmed", async () => {
    await using scenario = await createScenario();
    const relay = await scenario.startRelay();
    await using console = await openPage(relay.url);
    const { page } = console;
    const button = (name: string) => page.getByRole("button", { name, exact: true });
    const dialog = page.getByRole("dialog");

    const pause = page.locator(card("us-west")).getByRole("button");
    await pause.focus();
    await page.keyboard.press("Enter");
    assert.match(
      String(await dialog.textContent()),
      /Pause us-west\?\s+Nothing more is sent to it.*until it is resumed or this replica ends.*for the replica at 127\.0\.0\.1:\d+ only/s,
    );
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    assert.equal(
      await pause.evaluate((button: { matches(selector: string): boolean }) => button.matches(":focus")),
      true,
    );
    await pause.click();
    await button("Cancel").click();
    await dialog.waitFor({ state: "hidden" });
    assert.equal((await laneOf(relay, "us-west")).closure, null, "nothing was asked of the relay yet");

    await pause.click();
    await dialog.getByRole("button", { name: "Pause us-west" }).click();
    await shows(page, headline, /^us-west is paused$/);
    assert.equal((await laneOf(relay, "us-west")).closure?.reason, "paused");
    await scenario.produce(optOuts(0, 100));
    await othersHave(scenario, 100);
    await shows(page, "#problems", /people waiting 100 .*next try when resumed .*OptoutEnvironmentPaused/);
    assert.equal(listed(scenario, "us-west"), 0);

    await page.locator(card("us-west")).getByRole("button", { name: "Resume us-west" }).click();
    await dialog.getByRole("button", { name: "Resume us-west" }).click();
    await shows(page, headline, /^All is well/);
    await scenario.allSettled();
    assertOnEveryList(scenario, phones(0, 100));
    assertNoFaults(console);
  });

  test("with an admin token it asks for that, keeps it until the tab is closed, and says if it is wrong", async () => {
    await using scenario = await createScenario();
    const adminToken = "let-me-in-4711";
    const change = (config: ConfigInput) => {
      config.server = { port: 0, adminToken };
    };
    const relay = await scenario.startRelay({ change });
    await using console = await openPage(relay.url);
    const { page } = console;
    const dialog = page.getByRole("dialog");
    const token = page.getByLabel("Admin token");
    await shows(page, "#pausing-note", /admin token/);

    await page.getByRole("button", { name: "Pause us-west" }).click();
    await token.fill("guess");
    await page.keyboard.press("Enter");
    await dialog.getByRole("alert").getByText("doesn't accept this token").waitFor();
    assert.equal((await laneOf(relay, "us-west")).closure, null);
    assert.equal(await token.inputValue(), "");
    await token.fill(adminToken);
    await dialog.getByRole("button", { name: "Pause us-west" }).click();
    await shows(page, headline, /^us-west is paused$/);

    await page.getByRole("button", { name: "Resume us-west" }).click();
    assert.equal(await token.getAttribute("type"), "password");
    await dialog.getByRole("button", { name: "Resume us-west" }).click();
    await shows(page, headline, /^All is well/);
    assert.equal((await laneOf(relay, "us-west")).closure, null);
    assert.ok(!(await page.content()).includes(adminToken));
    assert.equal(await page.evaluate("localStorage.length"), 0);
    assert.deepEqual(await page.context().cookies(), []);
    assert.doesNotMatch(JSON.stringify(await stateOf(relay)), new RegExp(adminToken));
    // Only the answer to the wrong token.
    assert.equal(console.complaints.filter((each) => !/status of 401/.test(each)).length, 0);
    assert.deepEqual(console.strayRequests, []);
  });

  test("where nobody may pause, it isn't offered, and the page says why", async () => {
    await using scenario = await createScenario();
    const relay = await scenario.startRelay({
      change: (config) => {
        config.server = { host: "0.0.0.0", port: 0 };
      },
    });
    const { port } = new URL(relay.url);
    await using console = await openPage(`http://127.0.0.1:${port}`);
    const { page } = console;
    await shows(page, headline, /^All is well/);
    await shows(page, "#pausing-note", /^Pausing isn't possible from here: .*server\.adminToken/);
    assert.equal(await page.getByRole("button").count(), 0);
    assertNoFaults(console);
  });
});
