import type { StatusRecord } from "../../src/results/status.ts";
import { EVENTS } from "./broker.ts";
import { phoneOf, readKey } from "./reading.ts";
import type { JudgeOptions, Seen } from "./seen.ts";

/** Holds the statuses that are published against what environments took and refuse. */
export function createStatusJudge(options: JudgeOptions, seen: Seen) {
  const { say, logOf, rangeOf, took, published, regions } = seen;

  return (process: number, value: Buffer) => {
    const status: StatusRecord = JSON.parse(value.toString());
    const { partition, offset } = status.origin;
    const { environments, region } = options.settingOf(process);
    const record = logOf(partition)?.events(offset, offset)[0];
    if (record === undefined || status.statusId !== `${EVENTS}:${partition}:${offset}`) {
      return say(`8: a status of no event: ${status.statusId}`);
    }
    const names = status.environments.map(({ name }) => name);
    const told = JSON.stringify([status.outcome, status.environments.map(({ outcome }) => outcome), names]);
    const known = published.get(`${partition}|${offset}`);
    if (
      known !== undefined &&
      known !== told &&
      regions.size < 2 &&
      known.endsWith(`${JSON.stringify(names)}]`)
    ) {
      say(`8: two outcomes of ${offset}: ${known} and ${told}`);
    }
    published.set(`${partition}|${offset}`, told);
    const phone = phoneOf(record.wish, region);
    if (phone === null) {
      if (status.outcome !== "rejected" || names.length > 0) say(`8: ${offset} is invalid, but ${told}`);
      return;
    }
    if (names.join() !== environments.join()) say(`6: the status of ${offset} names ${names}`);
    const key = readKey(status.idempotencyKey ?? "");
    const batch = key && rangeOf(partition, key.first, key.last, region);
    const asked = batch?.entries.find(({ entry }) => entry.phone === phone);
    if (batch === undefined || asked === undefined)
      return say(`8: the status of ${offset} names a key that doesn't hold it`);
    for (const { name, outcome } of status.environments) {
      if (outcome === "rejected" && !options.refuses(name, phone)) say(`8: ${name} didn't refuse ${offset}`);
      if (outcome === "accepted" && !took(name, partition, batch, asked.entry)) {
        say(`6: the status of ${offset} says that ${name} has taken it, which it hasn't`);
      }
    }
  };
}
