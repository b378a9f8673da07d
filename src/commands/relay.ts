import { Command } from "commander";
import { createLogger } from "../observability/logger.ts";
import { startObservabilityServer } from "../observability/server.ts";
import { createRelay } from "../relay/relay.ts";
import { VERSION } from "../version.ts";
import { stopSignal } from "./lifecycle.ts";
import { type ConfigOption, configFrom, withConfigOption } from "./options.ts";

/** `optout-relay relay`: runs until a signal stops it, or until it can't go on, which is an error. */
export const relayCommand = (): Command =>
  withConfigOption(new Command("relay"))
    .description("consume opt-outs and put them on every environment's do-not-call list")
    .action(async (options: ConfigOption) => {
      const config = configFrom(options);
      const logger = createLogger(config.logging);
      const relay = createRelay(config, { logger, version: VERSION });
      const server = await startObservabilityServer(relay, config.server);
      logger.info({ url: server.url }, "metrics and health are served");
      const stopped = stopSignal();
      try {
        // A signal during the start ends it too: the brokers or the registry may be long in coming.
        const started = relay.start().then(() => relay.failed);
        const end = await Promise.race([stopped, started]);
        if (typeof end !== "string") throw end;
        logger.info({ signal: end }, "stopping");
      } finally {
        await relay.stop();
        await server.close();
      }
      logger.info("stopped");
    });
