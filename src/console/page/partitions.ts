import {
  byId,
  createList,
  element,
  group,
  setAttribute,
  setClass,
  setHidden,
  setText,
  type View,
} from "./dom.ts";
import { count, counted, listed } from "./format.ts";
import type { BatchView, PartitionView, State } from "./state.ts";

/** Lines of a partition's batches; of more environments, those that have batches to answer come first. */
const MAX_LINES = 8;
/** Least width of a batch with the gap after it, as in the style; in pixels. */
const LEAST_PITCH = 5;

interface Shown {
  partition: PartitionView;
  environments: readonly string[];
}

export function createPartitions(): (state: State) => void {
  const more = byId("partitions-more");
  const none = byId("partitions-none");
  const update = createList<Shown>(
    byId("partitions"),
    ({ partition }) => String(partition.partition),
    createCard,
  );
  return ({ partitions, partitionsNotShown, environments }) => {
    const names = environments.map(({ name }) => name);
    update(partitions.map((partition) => ({ partition, environments: names })));
    setHidden(none, partitions.length > 0);
    setHidden(more, partitionsNotShown === 0);
    setText(more, `and ${counted(partitionsNotShown, "partition")} more, with less that is pending`);
  };
}

function createCard({ partition }: Shown): View<Shown> {
  const badge = element("span", "badge watch");
  const [offset, lag, ledger] = [element("dd"), element("dd"), element("dd")];
  const [fill, bar] = [element("span", "fill"), element("div", "bar")];
  bar.append(fill);
  bar.setAttribute("aria-hidden", "true");
  const facts = group(
    "dl",
    "facts",
    group("div", "", element("dt", "", "committed"), offset),
    group("div", "", element("dt", "", "lag"), lag),
    group("div", "ledger", element("dt", "", "ledger"), ledger, bar),
  );
  const batches = createBatches();
  const head = group("div", "card-head", element("h3", "", `Partition ${partition.partition}`), badge);
  return {
    root: group("li", "card partition", head, facts, batches.root),
    update(shown) {
      const { committedOffset, lag: behind, ledgerUsedRatio, pausedFor } = shown.partition;
      setHidden(badge, pausedFor === null);
      setText(badge, pausedFor === "schema" ? "waits for a schema" : "not read on: full");
      setText(offset, count(committedOffset));
      setText(lag, behind === null ? "–" : count(behind));
      setText(ledger, `${Math.round(ledgerUsedRatio * 100)} % used`);
      fill.style.setProperty("--share", `${Math.min(100, ledgerUsedRatio * 100)}%`);
      batches.update(shown);
    },
  };
}

/** Which environments get a line: all, or of many those that hold batches up. */
function linesOf({ partition, environments }: Shown): number[] {
  const all = environments.map((_, index) => index);
  if (all.length <= MAX_LINES) return all;
  const unanswered = (index: number): number => partition.unanswered[index] ?? 0;
  const worst = all.sort((one, other) => unanswered(other) - unanswered(one) || one - other);
  return worst.slice(0, MAX_LINES).sort((one, other) => one - other);
}

/** A column for each batch, oldest first; in it a block for each environment, with its name before and its count after. */
function createBatches(): View<Shown> {
  const [names, columns, counts] = [
    element("div", "names"),
    element("div", "columns"),
    element("div", "counts"),
  ];
  const more = element("p", "more");
  const strip = group("div", "strip", names, columns, counts);
  strip.setAttribute("role", "img");
  const views: Column[] = [];

  return {
    root: group("div", "batches", strip, more),
    update(shown) {
      const { partition, environments } = shown;
      const lines = linesOf(shown);
      fillLines(
        names,
        lines.map((index) => environments[index] ?? ""),
      );
      fillLines(
        counts,
        lines.map((index) => count(partition.unanswered[index] ?? 0)),
      );
      const room = Math.max(8, Math.floor((columns.clientWidth || 320) / LEAST_PITCH));
      const batches = partition.batches.slice(0, room);
      while (views.length < batches.length) {
        const column = createColumn();
        views.push(column);
        columns.append(column.root);
      }
      for (const column of views.splice(batches.length)) column.root.remove();
      batches.forEach((batch, index) => {
        views[index]?.update(batch, lines, environments);
      });
      setText(more, noteOf(shown, batches.length, lines.length));
      setAttribute(strip, "aria-label", summaryOf(shown));
    },
  };
}

/** One line of text for each environment. */
function fillLines(parent: ReturnType<typeof element>, texts: readonly string[]): void {
  while (parent.children.length < texts.length) parent.append(element("span"));
  for (const extra of Array.from(parent.children).slice(texts.length)) extra.remove();
  texts.forEach((text, index) => {
    const line = parent.children[index];
    if (line === undefined) return;
    setText(line, text);
    if (line.title !== text) line.title = text;
  });
}

function noteOf({ partition, environments }: Shown, drawn: number, lines: number): string {
  const { sealedBatches } = partition;
  const others = environments.length - lines;
  const rest = sealedBatches - drawn;
  return [
    sealedBatches === 0 ? "no batch sealed" : counted(sealedBatches, "sealed batch", "sealed batches"),
    ...(rest > 0 ? [`the oldest ${count(drawn)} are shown, +${count(rest)} more`] : []),
    ...(others > 0 ? [`${counted(others, "environment")} not shown`] : []),
  ].join("; ");
}

function summaryOf({ partition, environments }: Shown): string {
  const holding = environments.filter((_, index) => (partition.unanswered[index] ?? 0) > 0);
  const batches = counted(partition.sealedBatches, "sealed batch", "sealed batches");
  return holding.length === 0 ? batches : `${batches}; not answered by ${listed(holding)} yet`;
}

interface Column {
  root: ReturnType<typeof element>;
  update(batch: BatchView, lines: readonly number[], environments: readonly string[]): void;
}

const MARK_WORDS: Record<string, string> = {
  w: "waiting",
  s: "waiting, in pieces",
  a: "acknowledged",
  r: "refused",
  n: "nothing to send",
  d: "settled before this replica had it",
};

function createColumn(): Column {
  const root = element("div", "batch");
  let shown = "";
  return {
    root,
    update(batch, lines, environments) {
      const key = `${batch.first} ${batch.last} ${batch.entries} ${batch.marks} ${lines.join()}`;
      if (key === shown) return;
      shown = key;
      while (root.children.length < lines.length) root.append(element("i"));
      for (const extra of Array.from(root.children).slice(lines.length)) extra.remove();
      lines.forEach((index, line) => {
        const block = root.children[line];
        if (block !== undefined) setClass(block, `block mark-${batch.marks[index]}`);
      });
      root.title = [
        `offsets ${batch.first} to ${batch.last}, ${counted(batch.entries, "phone")}`,
        ...lines.map((index) => `${environments[index]}: ${MARK_WORDS[batch.marks[index] ?? ""]}`),
      ].join("\n");
    },
  };
}
