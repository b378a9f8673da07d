import { type Command, Option } from "commander";
import { loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";

export interface ConfigOption {
  config?: string | undefined;
}

/** Adds `-c, --config <file>`, which `OPTOUT_CONFIG` gives as well. */
export function withConfigOption(command: Command): Command {
  return command.addOption(
    new Option(
      "-c, --config <file>",
      "configuration, YAML or JSON; OPTOUT_… variables override its keys",
    ).env("OPTOUT_CONFIG"),
  );
}

/**
 * The configuration that a command with `withConfigOption` was given; without a file, that of the environment alone.
 * @throws OptoutError `configuration`
 */
export function configFrom(options: ConfigOption, env: NodeJS.ProcessEnv = process.env): Config {
  // An empty OPTOUT_CONFIG is one that a compose file or script left unset.
  return loadConfig({ file: options.config || env.OPTOUT_CONFIG || undefined, env });
}
