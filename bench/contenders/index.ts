import { startNode } from "../process.ts";
import { assignedAt, type Contender } from "./contender.ts";
import { camel, parallelConsumer } from "./java.ts";
import { relay } from "./relay.ts";

const plainLoop: Contender = {
  name: "plain-loop",
  title: "plain kafkajs loop",
  start: async (task) => startNode("contenders/plain-loop.js", [JSON.stringify(task)]),
  assignedAt,
};

const bound = (which: string, title: string, says: boolean): Contender => ({
  name: which,
  title,
  start: async (task) => startNode("contenders/bounds.js", [which, JSON.stringify(task)]),
  assignedAt,
  isBound: true,
  says,
});

/** Programs that do the whole work. */
export const contenders: readonly Contender[] = [relay, plainLoop, parallelConsumer, camel];

/** What a part of the work allows by itself. */
export const bounds: readonly Contender[] = [
  bound("consume", "bound: consume", true),
  bound("normalise", "bound: consume, parse, normalise", true),
  bound("post", "bound: post", false),
];
