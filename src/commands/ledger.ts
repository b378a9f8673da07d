import { Command, InvalidArgumentError } from "commander";
import type { Config } from "../config/schema.ts";
import { OptoutError } from "../errors.ts";
import { describeLedger, ledgerReport } from "../inspect/ledger-report.ts";
import { type PartitionLedger, readLedgers } from "../inspect/ledgers.ts";
import { closeKafka, createKafka } from "../kafka/client.ts";
import { requireTopics, withAdmin } from "../kafka/topics.ts";
import { silentLogger } from "../observability/logger.ts";
import { type ConfigOption, configFrom, withConfigOption } from "./options.ts";

interface LedgerOptions extends ConfigOption {
  partition?: number;
  json?: boolean;
}

/** `optout-relay ledger`: per partition, what is sealed and who has acknowledged it. */
export const ledgerCommand = (): Command =>
  withConfigOption(new Command("ledger"))
    .description(
      "show per partition the committed offset, the sealed batches, and who has acknowledged which",
    )
    .option("--partition <n>", "only this one", parsePartition)
    .option("--json", "print one JSON object instead of tables")
    .addHelpText("after", HELP)
    .action(async (options: LedgerOptions) => {
      const config = configFrom(options);
      const report = ledgerReport(config, await fetchLedgers(config, options.partition));
      process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : describeLedger(report));
    });

const HELP = `
  optout-relay ledger
  optout-relay ledger --partition 3 --json

The relay writes each batch into the ledger before it sends it: the metadata of
its consumer group's offset commits. This only reads it, so relays may run. It
needs DESCRIBE on the events topic and on the consumer group.

A batch is a range of offsets. An environment has it in pieces if it refused it,
or took only a part; the pieces are sent one by one until the entries at fault
stand alone. A settled batch waits for those before it. When the ledger is full,
nothing more is sealed until a batch is settled.

--json prints {groupId, topic, environments, partitions: [{partition,
committedOffset (null: none yet), firstOffset, endOffset, behindTransaction,
lag, lost, usedRatio, batches: [{first, last, settled, acknowledged, split,
pending}], problem, unknownEnvironments}]}. behindTransaction counts those of
the lag that an open transaction keeps from being read; lost records that
expired unsettled; problem says why the metadata is no ledger, null if it is
one; unknownEnvironments are hashes of names that the configuration hasn't.

Exit code: 0 it could be read, whatever it says; 1 it could not be; 2 wrong
usage.
`;

function parsePartition(value: string): number {
  if (/^\d{1,9}$/.test(value)) return Number(value);
  throw new InvalidArgumentError("It must be the number of a partition, from 0 on.");
}

async function fetchLedgers(config: Config, wanted: number | undefined): Promise<PartitionLedger[]> {
  // The client's complaints come back as the command's error.
  const kafka = createKafka(config.kafka, silentLogger());
  try {
    const ledgers = await withAdmin(kafka, config.kafka.brokers, async (admin) => {
      await requireTopics(admin, config, ["events"]);
      return readLedgers({ admin, kafka }, config);
    });
    const chosen = ledgers.filter(({ partition }) => wanted === undefined || partition === wanted);
    if (chosen.length > 0) return chosen;
    throw new OptoutError(
      "usage",
      `The topic ${config.topics.events} has no partition ${wanted}: they are 0 to ${ledgers.length - 1}.`,
    );
  } finally {
    closeKafka(kafka);
  }
}
