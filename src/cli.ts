#!/usr/bin/env node
import { Command } from "commander";
import { describeFailure } from "./commands/failure.ts";
import { VERSION } from "./version.ts";

const HELP = `
Try it, with nothing to configure:   optout-relay quickstart --exit
What a command does and takes:       optout-relay relay --help

Exit codes: 0 done, 1 failed (standard error says why), 2 wrong usage.
`;

/** A command's code is loaded when it is named: each needs but a part of the libraries, and they take their time. */
const COMMANDS: Record<string, () => Promise<Command>> = {
  relay: async () => (await import("./commands/relay.ts")).relayCommand(),
  gateway: async () => (await import("./commands/gateway.ts")).gatewayCommand(),
  simulator: async () => (await import("./commands/simulator.ts")).simulatorCommand(),
  quickstart: async () => (await import("./commands/quickstart.ts")).quickstartCommand(),
  check: async () => (await import("./commands/check.ts")).checkCommand(),
  size: async () => (await import("./commands/size.ts")).sizeCommand(),
  topics: async () => (await import("./commands/topics.ts")).topicsCommand(),
  lint: async () => (await import("./commands/lint.ts")).lintCommand(),
  trace: async () => (await import("./commands/trace.ts")).traceCommand(),
  ledger: async () => (await import("./commands/ledger.ts")).ledgerCommand(),
  evidence: async () => (await import("./commands/evidence.ts")).evidenceCommand(),
  redrive: async () => (await import("./commands/redrive.ts")).redriveCommand(),
};

// A reader that left (`| head`) is no failure, and no reason to stop in the middle; whoever wants to end then, does.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}

const program = new Command("optout-relay")
  .description("Delivers phone opt-outs from Kafka to the do-not-call list of every NICE CXone environment.")
  .version(VERSION)
  .addHelpText("after", HELP);

const named = process.argv[2] ?? "";
for (const load of Object.hasOwn(COMMANDS, named) ? [COMMANDS[named]] : Object.values(COMMANDS)) {
  if (load !== undefined) program.addCommand(await load());
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
