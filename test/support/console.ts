import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import type { WatchedPage } from "./browser.ts";
import { phones, type Scenario } from "./scenario.ts";
import { listed } from "./views.ts";
import { waitFor } from "./wait.ts";

/** What tests ask of the relay's console, in a word each. */

export const headline = "#headline-text";
export const card = (name: string): string => `.environment:has(h3:text-is("${name}"))`;

/** As it is seen, on one line. */
export const textOf = async (page: Page, selector: string): Promise<string> =>
  (await page.locator(selector).evaluate(({ innerText }: { innerText: string }) => innerText))
    .replaceAll(/\s+/g, " ")
    .trim();

export const shows = (page: Page, selector: string, pattern: RegExp): Promise<unknown> =>
  waitFor(`${selector} to show ${pattern}`, async () => {
    const text = await textOf(page, selector);
    if (!pattern.test(text)) throw new Error(`it shows: ${text}`);
    return true;
  });

/** The marks of an environment's blocks in one partition, oldest first. */
export const marksOf = async (page: Page, partition: number, line: number): Promise<string[]> => {
  const blocks = `.partition:has(h3:text-is("Partition ${partition}")) .batch .block:nth-child(${line + 1})`;
  const classes = await page
    .locator(blocks)
    .evaluateAll((found: { className: string }[]) => found.map(({ className }) => className));
  return classes.map((each) => each.replace("block mark-", ""));
};

export function assertNoFaults({ complaints, strayRequests }: WatchedPage): void {
  assert.deepEqual(complaints, []);
  assert.deepEqual(strayRequests, []);
}

/** Neither what is seen nor what is in its attributes. */
export async function assertNoPhones(page: Page, count: number): Promise<void> {
  const content = await page.content();
  for (const phone of phones(0, count))
    assert.ok(!content.includes(phone.slice(2)), "a phone is in the page");
  assert.doesNotMatch(content, /relay-secret/);
}

export const fitsTheScreen = (page: Page): Promise<boolean> =>
  page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth");

/** For when us-west is out or paused. */
export const othersHave = (scenario: Scenario, count: number): Promise<boolean> =>
  waitFor(`the others to have ${count}`, () =>
    ["production", "eu-central"].every((name) => listed(scenario, name) === count),
  );
