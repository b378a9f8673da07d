import type { Command } from "commander";
import type { Metric, Registry } from "prom-client";
import { configJsonSchema } from "../../src/config/json-schema.ts";
import { isMapping, type Mapping } from "../../src/config/tree.ts";
import { CLOSED_MESSAGES } from "../../src/delivery/circuit.ts";
import { ERROR_CODES, type ErrorCode } from "../../src/errors.ts";
import { REJECT_REASONS, type RejectReason } from "../../src/events/event.ts";
import { REASONS, statusOf } from "../../src/gateway/answers.ts";
import { createGatewayMetrics } from "../../src/gateway/metrics.ts";
import { createMetrics } from "../../src/observability/metrics.ts";

const MADE = "<!-- Made from the code: OPTOUT_TEST_UPDATE=1 npm test -- docs-reference -->\n";
const page = (title: string, ...parts: string[]): string =>
  `${[`${MADE}\n# ${title}`, ...parts].join("\n\n")}\n`;

/** Within a cell. */
const plain = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");
const code = (text: string): string => `\`${plain(text)}\``;
const table = (head: string[], rows: readonly string[][]): string =>
  [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");

// --- Configuration

interface Key {
  path: string;
  type: string;
  fallback: string;
  says: string;
}

/** What a key may be, less the text with a reference that any may be. */
const optionsOf = (node: Mapping): Mapping[] => {
  if (!Array.isArray(node.anyOf)) return [node];
  return node.anyOf
    .filter(isMapping)
    .filter((each) => !("$ref" in each))
    .flatMap(optionsOf);
};

function typeOf(node: Mapping): string {
  const types = optionsOf(node).map((each): string => {
    if (Array.isArray(each.enum)) return each.enum.map((value) => code(String(value))).join(", ");
    if ("const" in each) return code(String(each.const));
    if (each.type === "array") return `list of ${isMapping(each.items) ? typeOf(each.items) : "any"}`;
    if (each.type === "object") return "mapping";
    if (each.type === "string") return kindOfText(String(each.pattern ?? ""));
    const { minimum, maximum } = each;
    const range = minimum === undefined ? "" : `, ${String(minimum)} to ${String(maximum)}`;
    return String(each.type) + range;
  });
  return [...new Set(types)].join(" or ");
}

function kindOfText(pattern: string): string {
  if (pattern.includes("ms|s|m|h")) return "duration";
  if (pattern.includes("KiB")) return "size";
  if (pattern.startsWith("^https?")) return "URL";
  return "text";
}

const bodyOf = ({ description }: Mapping): string => plain(String(description ?? ""));

function keysOf(node: Mapping, prefix: string): Key[] {
  const options = optionsOf(node);
  const found = new Map<string, Key>();
  const owners = new Map<string, string[]>();
  for (const option of options) {
    const only = discriminatorOf(option);
    for (const key of ownKeysOf(option, prefix)) {
      merge(found, key);
      owners.set(key.path, [...(owners.get(key.path) ?? []), ...only]);
    }
  }
  const all = options.flatMap(discriminatorOf).length;
  return [...found.values()].map((key) => {
    const of = owners.get(key.path) ?? [];
    return of.length === all ? key : { ...key, says: `With ${of.join(", ")} only. ${key.says}`.trim() };
  });
}

/** What the keys of one alternative come with: its dialects, or its mechanisms. */
function discriminatorOf({ properties }: Mapping): string[] {
  const { dialect, mechanism } = isMapping(properties) ? properties : {};
  const node = dialect ?? mechanism;
  return isMapping(node) ? typeOf(node).split(", ") : [];
}

function ownKeysOf(option: Mapping, prefix: string): Key[] {
  const required = Array.isArray(option.required) ? option.required : [];
  const properties = Object.entries(isMapping(option.properties) ? option.properties : {});
  const keys = properties.flatMap(([name, child]): Key[] => {
    if (!isMapping(child)) return [];
    const path = `${prefix}${name}`;
    const inner = keysOf(child, `${path}.`);
    const none = required.includes(name) ? "required" : "";
    const fallback = "default" in child ? code(JSON.stringify(child.default)) : none;
    const type = typeOf(child);
    const own = inner.length === 0 || type !== "mapping";
    return [...(own ? [{ path, type, fallback, says: bodyOf(child) }] : []), ...inner];
  });
  const items = isMapping(option.items) ? keysOf(option.items, prefix.replace(/\.$/, "[].")) : [];
  return [...keys, ...items];
}

/** The same key of several dialects or mechanisms: all that it may be. */
function merge(found: Map<string, Key>, key: Key): void {
  const before = found.get(key.path);
  if (before === undefined) return void found.set(key.path, key);
  const types = [...new Set([...before.type.split(", "), ...key.type.split(", ")])];
  found.set(key.path, {
    ...before,
    type: types.join(", "),
    fallback: before.fallback === key.fallback ? before.fallback : before.fallback || key.fallback,
    says: before.says || key.says,
  });
}

export function configurationPage(): string {
  const { properties } = configJsonSchema();
  const sections = Object.entries(isMapping(properties) ? properties : {}).flatMap(([name, node]) => {
    if (!isMapping(node)) return [];
    const rows = keysOf(node, `${name}.`).map(({ path, type, fallback, says }) => [
      code(path),
      type,
      fallback,
      says,
    ]);
    return [`## ${name}`, bodyOf(node), table(["key", "is", "default", "says"], rows)].filter(Boolean);
  });
  return page(
    "Configuration",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the syntax being explained
    "One YAML or JSON file, named by `--config` or `OPTOUT_CONFIG`. Any value can also be text with `${NAME}`, an environment variable, or\n`${file:/path}`, a file's content. Any key can be set by a variable: `OPTOUT_`, then its path in upper snake case, with `__` between\nlevels and a number for an item of a list: `OPTOUT_ENVIRONMENTS__0__AUTH__CLIENT_SECRET`. A duration is a whole number with `ms`, `s`, `m` or `h`;\na size one with `B`, `KiB` or `MiB`. For editors: [the JSON Schema](../../schemas/config.schema.json).",
    ...sections,
  );
}

// --- Commands

export function commandsPage(commands: readonly Command[]): string {
  const sections = commands.map((command) => {
    let text = "";
    command
      .configureOutput({
        writeOut: (part) => {
          text += part;
        },
        getOutHelpWidth: () => 80,
      })
      .outputHelp();
    const trimmed = text.trimEnd().replace(/^Usage: /, "Usage: optout-relay ");
    return `## ${command.name()}\n\n\`\`\`text\n${trimmed}\n\`\`\``;
  });
  return page(
    "Commands",
    "What `optout-relay <command> --help` prints. Exit codes: 0 done, 1 failed (standard error says why), 2 wrong usage. " +
      "Ctrl-C ends `trace`, `ledger` and a quickstart that isn't done with 130 (SIGTERM: 143), `check`, `redrive` and `evidence` with 1; " +
      "a relay, gateway or simulator that is stopped so has done its work: 0.",
    ...sections,
  );
}

// --- Metrics

const ofRegistry = (registry: Registry): string[][] =>
  registry
    .getMetricsAsArray()
    .map((metric) => describeMetric(metric))
    .filter(([name = ""]) => name.startsWith("`optout_"))
    .sort(([a = ""], [b = ""]) => (a < b ? -1 : 1));

function describeMetric(metric: object): string[] {
  const { name, help, type, labelNames } = metric as Metric & {
    name: string;
    help: string;
    type?: string;
    labelNames: string[];
  };
  const kind = type ?? metric.constructor.name.toLowerCase();
  return [code(name), kind, labelNames.map(code).join(", "), plain(help)];
}

export function metricsPage(): string {
  const head = ["metric", "type", "labels", "says"];
  const relay = createMetrics({ version: "0", environments: ["production"] });
  return page(
    "Metrics",
    "For Prometheus, at `/metrics` of the relay (`server`) and of the gateway (`gateway`). Node's own (`process_…`, `nodejs_…`) come with them.\nNo label holds a phone number, key or URL. What to alert on: [the rules](../../deploy/prometheus/rules.yaml) and\n[the runbook](../runbook.md).",
    "## Relay",
    table(head, ofRegistry(relay.registry)),
    "## Gateway",
    table(head, ofRegistry(createGatewayMetrics(async () => true).registry)),
  );
}

// --- Outcomes, reasons, codes

const MEANING_OF_REASON: Record<RejectReason, string> = {
  empty_value: "The record has no value.",
  undecodable: "The value can't be read in any encoding.",
  unknown_schema: "The registry has no schema of the id that the record names.",
  unsupported_cloudevent: "A CloudEvent of another version, or without what every one has.",
  missing_phone: "No phone in it.",
  invalid_phone: "A phone that isn't a number of its region.",
  unsupported_action: "An `action` other than `opt_out`: an opt-in must never become an opt-out.",
  invalid_field: "A field that can't be what it must, such as `expiresAt` without a date.",
  ambiguous_field: "A field twice, with different values.",
  refused_by_environment: "An environment refused this phone by itself; `environments` says which.",
};

const MEANING_OF_CODE: Record<ErrorCode, string> = {
  configuration: "The configuration is wrong, or an address can't be listened on.",
  usage: "The command was called wrongly; exit code 2.",
  kafka_unreachable: "No broker answers.",
  kafka_unauthorized: "The brokers refuse the login, or what it may do doesn't suffice.",
  topic_missing: "A topic doesn't exist: `optout-relay topics` creates it.",
  registry_unreachable: "The schema registry doesn't answer.",
  local_stack: "The local Kafka or registry of `quickstart` can't be had.",
  ledger_capacity: "The ledger can't hold what it must: more environments than fit.",
  internal: "A defect. The process ends, and loses nothing.",
};

export const outcomesPage = (): string =>
  page(
    "Outcomes, reasons, codes",
    "## Outcomes of an event",
    table(
      ["`outcome`", "means"],
      [
        [code("delivered"), "On the list of every environment."],
        [code("partially_delivered"), "Refused by some; `environments` says which."],
        [
          code("rejected"),
          "On no list: it is no opt-out that could be read, or every environment refused it.",
        ],
      ],
    ),
    "One record on the status topic for each event; a crash may repeat it, with the same `statusId`.\nAll its fields: [the schema](../../schemas/opt-out-status.schema.json).",
    "## Reasons of a rejection",
    "`reason` of a status record, `optout.reason` of a dead letter, `reason` of the gateway's 400. New ones may come.",
    table(
      ["reason", "means"],
      REJECT_REASONS.map((reason) => [code(reason), MEANING_OF_REASON[reason]]),
    ),
    "## The gateway's refusals",
    "`POST /opt-out` answers 202, or one of these. 429 and 503 say in `Retry-After` when to come back. In full:\n[OpenAPI](../../schemas/gateway.openapi.json).",
    table(
      ["reason", "status"],
      REASONS.map((reason) => [code(reason), String(statusOf(reason))]),
    ),
    "## Why a lane is closed",
    "`reason` of `optout_environment_lane_closed`, and in `/state`. While it is closed its opt-outs wait; none is lost.",
    table(
      ["reason", "the log says"],
      [...Object.entries(CLOSED_MESSAGES), ["paused", "somebody paused it"]].map(
        ([reason = "", says = ""]) => [code(reason), plain(says)],
      ),
    ),
    "## Codes of errors",
    "`code` of an `OptoutError`, for who embeds the relay.",
    table(
      ["code", "means"],
      ERROR_CODES.map((each) => [code(each), MEANING_OF_CODE[each]]),
    ),
  );
