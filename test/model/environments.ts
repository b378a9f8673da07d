import type { Entry } from "../../src/batching/batch.ts";
import type { HttpRequest, HttpResponse } from "../../src/delivery/dialects/dialect.ts";
import type { Happening } from "./wire.ts";

/**
 * What an environment does with requests about entries. "drop": takes them and says nothing; "cut": neither; "short": takes
 * all entries but the first, and says how many. "503 for some": to all requests that hold one of some phones.
 */
export const MODES = [
  "ok",
  "hang",
  "cut",
  "drop",
  "503",
  "429",
  "401",
  "short",
  "503 for some",
  "429 for some",
] as const;
export type Mode = (typeof MODES)[number];

/** One environment: its list, and the keys it remembers. */
export interface Environment {
  readonly name: string;
  mode: Mode;
}

export interface EnvironmentsOptions {
  names: readonly string[];
  /** The environment refuses this phone, always. */
  refuses(environment: string, phone: string): boolean;
  onApplied(environment: string, key: string, entries: readonly Entry[], isWhole: boolean): void;
}

/** All environments, and the requests on their way to them, which arrive and are answered in any order. */
export interface Environments {
  readonly all: ReadonlyMap<string, Environment>;
  /** The answer, or an error of the transport; rejects at once when the request is aborted, which may arrive nevertheless. */
  send(process: number, environment: string, request: HttpRequest): Promise<HttpResponse>;
  /** Only of processes that `runs` is true for are answers delivered. */
  happenings(runs: (process: number) => boolean): Happening[];
  /** The process is gone. Its requests that haven't arrived do so nevertheless, if `arrives` says so. */
  orphan(process: number, arrives: () => boolean): void;
}

interface Flight {
  process: number;
  environment: Environment;
  request: HttpRequest;
  key: string;
  state: "sent" | "hanging" | "answered";
  reply: HttpResponse | "cut" | undefined;
  resolve(response: HttpResponse): void;
  reject(error: unknown): void;
}

const response = (status: number, body: object | null = null): HttpResponse => ({
  status,
  header: () => undefined,
  body: body === null ? "" : JSON.stringify(body),
});

const taken = (count: number): HttpResponse =>
  response(201, { success: true, entriesProcessed: count, duplicateCount: 0 });

/** The last digit of phones that trouble some environments. */
const TROUBLE = "6";

/** The status of requests that an environment has no time for; undefined if it takes this one. */
function troubleOf(mode: Mode, entries: readonly Entry[]): number | undefined {
  const status = Number(mode.slice(0, 3));
  if (Number.isNaN(status)) return undefined;
  const isForAll = !mode.endsWith("for some");
  return isForAll || entries.some(({ phone }) => phone.endsWith(TROUBLE)) ? status : undefined;
}

export function createEnvironments(options: EnvironmentsOptions): Environments {
  const all = new Map(options.names.map((name): [string, Environment] => [name, { name, mode: "ok" }]));
  /** By environment and key: requests taken whole. */
  const remembered = new Set<string>();
  let flights: Flight[] = [];

  const takeEntries = ({ name, mode }: Environment, key: string, body: string): HttpResponse | "cut" => {
    const entries: Entry[] = JSON.parse(body);
    if (mode === "cut") return "cut";
    const trouble = troubleOf(mode, entries);
    if (trouble !== undefined) return response(trouble);
    if (remembered.has(`${name} ${key}`)) return taken(entries.length);
    if (entries.some(({ phone }) => options.refuses(name, phone))) return response(422);
    if (mode === "short") {
      options.onApplied(name, key, entries.slice(1), false);
      return taken(entries.length - 1);
    }
    options.onApplied(name, key, entries, true);
    remembered.add(`${name} ${key}`);
    return mode === "drop" ? "cut" : taken(entries.length);
  };

  const arrive = (flight: Flight): void => {
    const { environment, request, key } = flight;
    if (request.url.endsWith("/oauth/token")) {
      flight.reply = response(200, { access_token: "t", token_type: "Bearer", expires_in: 3600 });
    } else if (environment.mode === "hang") {
      flight.state = "hanging";
      return;
    } else {
      flight.reply = takeEntries(environment, key, request.body.toString());
    }
    flight.state = "answered";
  };

  const deliver = (flight: Flight): void => {
    flights = flights.filter((each) => each !== flight);
    if (flight.reply === "cut" || flight.reply === undefined) flight.reject(new Error("socket hang up"));
    else flight.resolve(flight.reply);
  };

  return {
    all,
    send: (process, name, request) =>
      new Promise((resolve, reject) => {
        const environment = all.get(name);
        if (environment === undefined) throw new Error(`there is no environment ${name}`);
        const flight: Flight = {
          ...{ process, environment, request, resolve, reject },
          ...{ key: request.headers["idempotency-key"] ?? "", state: "sent", reply: undefined },
        };
        flights.push(flight);
        request.signal.addEventListener("abort", () => {
          reject(request.signal.reason);
          // Whether it had been sent already, nobody knows.
          if (flight.state !== "sent") flights = flights.filter((each) => each !== flight);
        });
      }),
    happenings: (runs) =>
      flights.flatMap((flight): Happening[] => {
        const { process, environment, state } = flight;
        const what = `${process} ${environment.name} ${flight.key || "token"}`;
        if (state === "sent") return [{ what: `${what} arrives`, at: "server", run: () => arrive(flight) }];
        const isReady = state === "answered" || environment.mode !== "hang";
        if (!isReady || !runs(process)) return [];
        return [{ what: `${what} is answered`, at: process, run: () => deliver(flight) }];
      }),
    orphan(process, arrives) {
      flights = flights.filter(
        (flight) => flight.process !== process || (flight.state === "sent" && arrives()),
      );
    },
  };
}
