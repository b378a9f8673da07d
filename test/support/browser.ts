import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { after, before } from "node:test";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

/** The machine's Chromium: what OPTOUT_TEST_CHROMIUM names, else the first there is on the path. */
function findChromium(): string {
  const named = process.env.OPTOUT_TEST_CHROMIUM;
  if (named !== undefined) return named;
  const folders = (process.env.PATH ?? "").split(delimiter);
  const candidates = ["chromium", "chromium-browser", "google-chrome"].flatMap((name) =>
    folders.map((folder) => join(folder, name)),
  );
  const found = candidates.find(isExecutable);
  if (found === undefined) {
    throw new Error(
      "There is no Chromium on the PATH, which the console's tests need. Install it (Debian: apt-get install chromium), or name its executable in OPTOUT_TEST_CHROMIUM.",
    );
  }
  return found;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** To be called in a suite, whose tests share the browser; opens a page in it. */
export function useBrowser(): (...page: PageArguments) => Promise<WatchedPage> {
  let browser: Browser;
  before(async () => {
    browser = await chromium.launch({ executablePath: findChromium() });
  });
  after(() => browser?.close());
  return (...page) => openPage(browser, ...page);
}

/** A page, and what must not happen to it. */
export interface WatchedPage extends AsyncDisposable {
  readonly page: Page;
  /** Errors and warnings on the console (a breach of its content security policy is one), and uncaught ones. */
  readonly complaints: string[];
  /** Requests to another origin than its own. */
  readonly strayRequests: string[];
  /** Requests for the relay's state so far, and how many of them have ended. */
  readonly polls: () => number;
  readonly pollsEnded: () => number;
}

type PageArguments = [
  url: string,
  options?: BrowserContextOptions,
  /** Comes before anything is loaded. */
  prepare?: (page: Page) => Promise<void>,
];

/** Opens a URL in a profile of its own. */
async function openPage(
  browser: Browser,
  ...[url, options = {}, prepare = async () => {}]: PageArguments
): Promise<WatchedPage> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints: string[] = [];
  const strayRequests: string[] = [];
  let polls = 0;
  let pollsEnded = 0;
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => {
    const to = new URL(request.url());
    if (to.protocol !== "data:" && to.origin !== new URL(url).origin) strayRequests.push(request.url());
    if (to.pathname === "/state") polls++;
  });
  const onEnd = (request: { url(): string }) => {
    if (new URL(request.url()).pathname === "/state") pollsEnded++;
  };
  page.on("requestfinished", onEnd);
  page.on("requestfailed", onEnd);
  await prepare(page);
  await page.goto(url);
  return {
    page,
    complaints,
    strayRequests,
    polls: () => polls,
    pollsEnded: () => pollsEnded,
    [Symbol.asyncDispose]: () => context.close(),
  };
}
