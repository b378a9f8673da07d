import type { ListEntry } from "../../../src/simulator/index.ts";
import type { Wish } from "../events.ts";
import type { EventEvidence, Evidence, Violation } from "../evidence.ts";
import { ownersUntil, predict } from "./outcomes.ts";

/**
 * Invariant 6: no event is lost or skipped. Each valid one is on the list of every environment that its status names, with
 * a wish no weaker than its own; each rejected one is in the dead letters, whole; and nothing else is anywhere.
 */
export function checkNothingLost(evidence: Evidence): Violation[] {
  return [
    ...checkTopic(evidence),
    ...checkWishes(evidence),
    ...checkLists(evidence),
    ...checkDeadLetters(evidence),
  ];
}

/**
 * What was produced against what could be read: the relay and this run read with the same client, which has shown records
 * of aborted transactions before.
 */
function checkTopic({ events, produced, aborted }: Evidence): Violation[] {
  const readable = new Set([...events.values()].flat().map(({ index }) => index));
  const lost = [...produced].filter((index) => !readable.has(index));
  const undead = [...aborted].filter((index) => readable.has(index));
  return [
    ...lost.map((index) => ({ invariant: 0 as const, what: `Kafka lost the event ${index}` })),
    ...undead.map((index) => ({
      invariant: 6 as const,
      what: `the event ${index} of an aborted transaction was read`,
    })),
  ];
}

const expiryOf = (date: string | null): number =>
  date === null ? Number.POSITIVE_INFINITY : Date.parse(date);

const wishesOf = (event: EventEvidence): Wish[] =>
  Object.values(event.meaning).flatMap((meaning) => ("wish" in meaning ? [meaning.wish] : []));

function checkWishes(evidence: Evidence): Violation[] {
  const lists = new Map(
    Array.from(evidence.lists, ([name, list]) => [name, new Map(list.map((entry) => [entry.phone, entry]))]),
  );
  const wishes = new Map(
    [...evidence.events.values()]
      .flat()
      .map((event) => [`${evidence.topic}:${event.partition}:${event.offset}`, wishesOf(event)]),
  );
  const problem = (entry: ListEntry | undefined, wish: Wish): string | undefined => {
    if (entry === undefined) return "isn't on the list";
    const isWeaker = expiryOf(entry.expirationDate) < expiryOf(wish.expiresAt);
    return isWeaker ? `is on the list until ${entry.expirationDate} only` : undefined;
  };
  return evidence.statuses.flatMap(({ status }) =>
    status.environments.flatMap(({ name, outcome }) => {
      if (outcome !== "accepted") return [];
      const wish = wishes.get(status.statusId)?.find(({ phone }) => phone === status.phone);
      if (wish === undefined) return [];
      const what = problem(lists.get(name)?.get(wish.phone), wish);
      return what === undefined
        ? []
        : [{ invariant: 6 as const, what: `the phone of ${status.statusId} ${what} of ${name}` }];
    }),
  );
}

/** On the lists there is nothing that no readable event asked for, and nothing that an environment refuses. */
function checkLists({ lists, events, refused, processes }: Evidence): Violation[] {
  const regions = new Set(processes.map(({ settings }) => settings.region));
  const wishes = new Map<string, Set<string | null>>();
  for (const { meaning } of [...events.values()].flat()) {
    for (const region of regions) {
      const meant = meaning[region];
      if (!("wish" in meant)) continue;
      const { phone, expiresAt } = meant.wish;
      wishes.set(phone, (wishes.get(phone) ?? new Set()).add(expiresAt));
    }
  }
  return Array.from(lists, ([name, list]) =>
    list.flatMap(({ phone, expirationDate, key }) => {
      const asked = wishes.get(phone);
      const where = `a phone on the list of ${name}, from ${key},`;
      if (asked === undefined) return [{ invariant: 6 as const, what: `${where} was in no readable event` }];
      if (!asked.has(expirationDate)) {
        return [{ invariant: 6 as const, what: `${where} has a date that nobody asked for` }];
      }
      return refused.get(name)?.has(phone)
        ? [{ invariant: 6 as const, what: `${where} is one that it refuses` }]
        : [];
    }),
  ).flat();
}

const letterId = (partition: number, offset: number, environment: string | null, reason: string): string =>
  `${partition}:${offset} ${environment ?? "whole"} ${reason}`;

const isSame = (one: Buffer | null, other: Buffer | null): boolean =>
  one === null || other === null ? one === other : one.equals(other);

function checkDeadLetters(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const letters = new Set<string>();
  const byOffset = new Map(
    [...evidence.events.values()].flat().map((event) => [`${event.partition}:${event.offset}`, event]),
  );
  for (const { partition, offset, reason, environment, key, value } of evidence.deadLetters) {
    const id = letterId(partition, offset, environment, reason);
    letters.add(id);
    const event = byOffset.get(`${partition}:${offset}`);
    const say = (what: string): void => {
      violations.push({ invariant: 6, what: `the dead letter ${id} ${what}` });
    };
    if (event === undefined) {
      say("is of no readable event");
      continue;
    }
    if (!isSame(event.key, key) || !isSame(event.value, value)) say("isn't its record, whole");
    const owners = ownersUntil(evidence, partition, Number.POSITIVE_INFINITY);
    const isExplained = owners.some(({ settings }) => {
      const prediction = predict(event, settings, evidence.refused);
      const rejections = prediction.environments.filter(({ outcome }) => outcome === "rejected");
      return (
        prediction.reason === reason &&
        (environment === null
          ? prediction.environments.length === 0
          : rejections.some(({ name }) => name === environment))
      );
    });
    if (!isExplained) say("is of an event that wasn't to be rejected");
  }
  for (const { status } of evidence.statuses) {
    const { reason, environments, origin } = status;
    if (reason === null) continue;
    const rejections = environments.filter(({ outcome }) => outcome === "rejected").map(({ name }) => name);
    for (const environment of environments.length === 0 ? [null] : rejections) {
      const id = letterId(origin.partition, origin.offset, environment, reason);
      if (!letters.has(id)) violations.push({ invariant: 6, what: `there is no dead letter ${id}` });
    }
  }
  return violations;
}
