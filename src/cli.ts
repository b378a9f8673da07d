#!/usr/bin/env node
import { Command } from "commander";
import { describeFailure } from "./commands/failure.ts";
import { gatewayCommand } from "./commands/gateway.ts";
import { lintCommand } from "./commands/lint.ts";
import { quickstartCommand } from "./commands/quickstart.ts";
import { relayCommand } from "./commands/relay.ts";
import { simulatorCommand } from "./commands/simulator.ts";
import { topicsCommand } from "./commands/topics.ts";
import { VERSION } from "./version.ts";

const HELP = `
Try it, with nothing to configure:   optout-relay quickstart --exit
What a command does and takes:       optout-relay relay --help

Exit codes: 0 done, 1 failed (standard error says why), 2 wrong usage.
`;

const program = new Command("optout-relay")
  .description("Delivers phone opt-outs from Kafka to the do-not-call list of every NICE CXone environment.")
  .version(VERSION)
  .addHelpText("after", HELP);

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
for (const command of [program, ...program.commands]) {
  const name = command === program ? program.name() : `${program.name()} ${command.name()}`;
  command.exitOverride().showHelpAfterError(`(${name} --help shows what there is)`);
}

try {
  await program.parseAsync();
} catch (error) {
  const { text, exitCode } = describeFailure(error);
  if (text !== "") process.stderr.write(`${text}\n`);
  process.exitCode = exitCode;
}
