#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { gatewayCommand } from "./commands/gateway.ts";
import { lintCommand } from "./commands/lint.ts";
import { quickstartCommand } from "./commands/quickstart.ts";
import { relayCommand } from "./commands/relay.ts";
import { simulatorCommand } from "./commands/simulator.ts";
import { topicsCommand } from "./commands/topics.ts";
import { messageOf, OptoutError } from "./errors.ts";
import { VERSION } from "./version.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

const program = new Command("optout-relay")
  .description("Delivers phone opt-outs from Kafka to the do-not-call list of every NICE CXone environment.")
  .version(VERSION)
  .showHelpAfterError("(--help shows what there is)");

for (const command of [
  relayCommand(),
  gatewayCommand(),
  simulatorCommand(),
  quickstartCommand(),
  topicsCommand(),
  lintCommand(),
]) {
  program.addCommand(command);
}
for (const command of [program, ...program.commands]) command.exitOverride();

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // commander has printed its message already.
    process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  } else {
    process.stderr.write(`optout-relay: ${messageOf(error)}\n`);
    process.exitCode = error instanceof OptoutError && error.code === "usage" ? EXIT_USAGE : EXIT_FAILED;
  }
}
