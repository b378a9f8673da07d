/** Performs the schedules whose seeds its parent sends, one after the other, and ends with it. */
import { z } from "zod";
import { generateSchedule } from "./generate.ts";
import { performSchedule } from "./perform.ts";
import { openHouse } from "./stage.ts";

const Order = z.object({ seed: z.int() });
const failures = process.argv[2] ?? "chaos-failures";
const house = openHouse();

process.on("message", (message) => {
  void perform(Order.parse(message).seed);
});
process.once("disconnect", () => {
  void end();
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => {});

async function perform(seed: number): Promise<void> {
  try {
    const line = await performSchedule(await house, generateSchedule(seed), { failures });
    process.send?.({ line });
  } catch (error) {
    process.send?.({ problem: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}

async function end(): Promise<void> {
  await (await house)[Symbol.asyncDispose]();
  process.exit(0);
}
