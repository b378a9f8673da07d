import { byId, createList, element, group, setHidden, setText, type View } from "./dom.ts";
import { clock, count, duration, listed, words } from "./format.ts";
import type { NotDeliveredView, SettledView, State } from "./state.ts";

/** What became of events: totals, the last batches, the last that failed, and why any did. */
export function createOutcomes(): (state: State) => void {
  const totals = {
    delivered: byId("delivered"),
    partially_delivered: byId("partial"),
    rejected: byId("rejected"),
  };
  const nothing = { settled: byId("settled-none"), reasons: byId("reasons-none") };
  const tables = { settled: byId("settled-table"), failed: byId("failed-table") };
  let now = "";

  const settled = createList<SettledView>(
    byId("settled"),
    ({ at, partition, first }) => `${at} ${partition}:${first}`,
    (item) => row(item, settledCells(item), () => now),
  );
  const failed = createList<NotDeliveredView>(
    byId("failed"),
    ({ at, partition, offset }) => `${at} ${partition}:${offset}`,
    (item) => row(item, failedCells(item), () => now),
  );
  const reasons = createList<readonly [string, number]>(byId("reasons"), ([reason]) => reason, createReason);

  return (state) => {
    now = state.now;
    for (const [outcome, target] of Object.entries(totals)) {
      setText(target, count(state.outcomes[outcome as keyof typeof totals]));
    }
    settled(state.settled);
    failed(state.notDelivered);
    reasons(Object.entries(state.rejections).sort((one, other) => other[1] - one[1]));
    setHidden(nothing.settled, state.settled.length > 0);
    setHidden(tables.settled, state.settled.length === 0);
    setHidden(tables.failed, state.notDelivered.length === 0);
    setHidden(nothing.reasons, Object.keys(state.rejections).length > 0);
  };
}

/** What has happened doesn't change, so a row is filled once; but past midnight its time takes the day before it. */
function row<T>({ at }: { at: string }, cells: readonly string[], now: () => string): View<T> {
  const time = element("td");
  const root = group("tr", "", time, ...cells.map((text) => element("td", "", text)));
  return { root, update: () => setText(time, clock(at, now())) };
}

function settledCells({ partition, first, last, outcomes, slowestMs }: SettledView): string[] {
  const { delivered, partially_delivered: partial, rejected } = outcomes;
  const parts = [
    ...(delivered > 0 ? [`${count(delivered)} delivered`] : []),
    ...(partial > 0 ? [`${count(partial)} in part`] : []),
    ...(rejected > 0 ? [`${count(rejected)} rejected`] : []),
  ];
  const range = first === last ? `${partition}:${first}` : `${partition}:${first}–${last}`;
  return [range, parts.join(", "), slowestMs === null ? "–" : duration(slowestMs)];
}

function failedCells({ partition, offset, outcome, reason, refusedBy }: NotDeliveredView): string[] {
  const by = refusedBy.length === 0 ? words(reason) : `refused by ${listed(refusedBy)}`;
  return [`${partition}:${offset}`, outcome === "rejected" ? "rejected" : "delivered in part", by];
}

function createReason([reason]: readonly [string, number]): View<readonly [string, number]> {
  const times = element("dd");
  return {
    root: group("div", "", element("dt", "", words(reason)), times),
    update: ([, events]) => setText(times, count(events)),
  };
}
