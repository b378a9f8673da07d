import { syncBuiltinESMExports } from "node:module";
import timersPromises from "node:timers/promises";

/**
 * Time that only passes when the model says so. While it is installed, the clocks, timers and random numbers that the code
 * under test finds are those of the world it runs in. Each process has timers of its own: they die with it, and wait while
 * it is suspended.
 */
export interface Timers {
  /** When the next one is due; Infinity if there is none. */
  due(): number;
  /** Runs the one that has been due for the longest. */
  fire(): void;
  add(due: number, run: () => void): number;
  remove(id: number): void;
  clear(): void;
}

/** Where the code under test is running right now. */
export interface Context {
  /** Milliseconds, monotonic. */
  now(): number;
  random(): number;
  timers: Timers;
}

/** Of the wall clock, when the monotonic one shows 0. */
const EPOCH = 1_800_000_000_000;

interface Timer {
  due: number;
  run(): void;
}

let context: Context | undefined;

const real = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  setImmediate: globalThis.setImmediate,
  sleep: timersPromises.setTimeout,
  nextTurn: timersPromises.setImmediate,
  performanceNow: performance.now,
  dateNow: Date.now,
  random: Math.random,
};

export function createTimers(): Timers {
  const timers = new Map<number, Timer>();
  let lastId = 0;
  const first = (): [number, Timer] | undefined => {
    let found: [number, Timer] | undefined;
    for (const each of timers) {
      if (found === undefined || each[1].due < found[1].due) found = each;
    }
    return found;
  };
  return {
    due: () => first()?.[1].due ?? Number.POSITIVE_INFINITY,
    fire() {
      const next = first();
      if (next === undefined) return;
      timers.delete(next[0]);
      next[1].run();
    },
    add(due, run) {
      timers.set(++lastId, { due, run });
      return lastId;
    },
    remove: (id) => timers.delete(id),
    clear: () => timers.clear(),
  };
}

/** Runs code of a process, and everything that then only waits for promises. */
export async function within(inside: Context, run: () => void): Promise<void> {
  if (context !== undefined) throw new Error("two processes run at the same time");
  context = inside;
  try {
    run();
    await new Promise<void>((resolve) => real.setImmediate(resolve));
  } finally {
    context = undefined;
  }
}

/** As Node counts: no wait is shorter than a millisecond, and one that is too long is none. */
const dueAfter = (now: number, delay: number): number => now + (delay >= 1 && delay < 2 ** 31 ? delay : 1);

/** What `setTimeout` gives back; kept apart from Node's, which `clearTimeout` gets too. */
interface Handle {
  id: number;
  timers: Timers;
  ref(): Handle;
  unref(): Handle;
}

function handleOf(id: number, timers: Timers): Handle {
  const handle: Handle = { id, timers, ref: () => handle, unref: () => handle };
  return handle;
}

const isHandle = (value: unknown): value is Handle =>
  typeof value === "object" && value !== null && "timers" in value && "id" in value;

function virtualTimeout(run: (...args: unknown[]) => void, delay = 1, ...args: unknown[]) {
  if (context === undefined) return real.setTimeout(run, delay, ...args);
  const { timers } = context;
  return handleOf(
    timers.add(dueAfter(context.now(), delay), () => run(...args)),
    timers,
  );
}

function virtualInterval(run: (...args: unknown[]) => void, delay = 1, ...args: unknown[]) {
  if (context === undefined) return real.setInterval(run, delay, ...args);
  const { timers, now } = context;
  const handle = handleOf(0, timers);
  const again = () => {
    handle.id = timers.add(dueAfter(now(), delay), () => {
      again();
      run(...args);
    });
  };
  again();
  return handle;
}

function virtualClear(handle: unknown): void {
  if (isHandle(handle)) handle.timers.remove(handle.id);
  else real.clearTimeout(handle as Parameters<typeof clearTimeout>[0]);
}

function virtualSleep<T>(
  delay?: number,
  value?: T,
  options?: { signal?: AbortSignal },
): Promise<T | undefined> {
  if (context === undefined) return real.sleep(delay, value, options);
  return new Promise((resolve, reject) => {
    const timer = virtualTimeout(() => resolve(value), delay);
    options?.signal?.addEventListener("abort", () => {
      virtualClear(timer);
      reject(options.signal?.reason);
    });
  });
}

/** Puts the model's clocks in place of Node's; undone by what it returns. Code outside of `within` keeps Node's. */
export function installVirtualTime(): () => void {
  Object.assign(globalThis, {
    setTimeout: virtualTimeout,
    clearTimeout: virtualClear,
    setInterval: virtualInterval,
    clearInterval: virtualClear,
  });
  performance.now = () => context?.now() ?? real.performanceNow.call(performance);
  Date.now = () => (context === undefined ? real.dateNow() : EPOCH + context.now());
  Math.random = () => context?.random() ?? real.random();
  Object.assign(timersPromises, {
    setTimeout: virtualSleep,
    setImmediate: () => (context === undefined ? real.nextTurn() : virtualSleep(1)),
  });
  syncBuiltinESMExports();
  return () => {
    const { sleep, nextTurn, performanceNow, dateNow, random, ...timers } = real;
    Object.assign(globalThis, timers);
    performance.now = performanceNow;
    Date.now = dateNow;
    Math.random = random;
    Object.assign(timersPromises, { setTimeout: sleep, setImmediate: nextTurn });
    syncBuiltinESMExports();
  };
}

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
