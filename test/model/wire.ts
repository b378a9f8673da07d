/** What came of a request at the server. */
export type Outcome<T> = { value: T } | { error: Error };

/** What may happen next somewhere; which of all such it is, the model's scheduler decides. */
export interface Happening {
  what: string;
  /** The number of the process in which it happens. */
  at: number | "server";
  run(): void;
}

/**
 * The connections of one process to Kafka's brokers. As on a real one, a broker handles a connection's requests one after the
 * other, and answers each before it looks at the next.
 */
export interface Wire {
  /** Sends a request. `handle` runs at the server, whenever the scheduler lets it arrive, and may answer later. */
  call<T>(
    connection: string,
    what: string,
    handle: (answer: (outcome: Outcome<T>) => void) => void,
  ): Promise<T>;
  happenings(): Happening[];
  /**
   * The connections break: whoever waits for an answer gets an error. Of the requests under way, so many still arrive, but
   * none of the answers.
   */
  cut(error: () => Error, arriving: number): void;
  /** The process is gone: nobody waits for answers any more, and only so many of its requests still arrive, sooner or later. */
  orphan(arriving: number): void;
  readonly pending: number;
}

interface Exchange {
  what: string;
  state: "sent" | "handled" | "answered";
  arrive(): void;
  deliver(): void;
  fail(error: Error): void;
}

export function createWire(process: number): Wire {
  const connections = new Map<string, Exchange[]>();

  const all = (): Exchange[] => [...connections.values()].flat();
  const isUnderWay = ({ state }: Exchange): boolean => state === "sent";

  const exchangeOf = <T>(
    what: string,
    handle: (answer: (outcome: Outcome<T>) => void) => void,
    settle: (outcome: Outcome<T>) => void,
  ): Exchange => {
    let outcome: Outcome<T> | undefined;
    const exchange: Exchange = {
      what,
      state: "sent",
      arrive() {
        exchange.state = "handled";
        handle((given) => {
          if (exchange.state !== "handled") return;
          outcome = given;
          exchange.state = "answered";
        });
      },
      deliver() {
        if (outcome !== undefined) settle(outcome);
      },
      fail: (error) => settle({ error }),
    };
    return exchange;
  };

  return {
    call: (connection, what, handle) =>
      new Promise((resolve, reject) => {
        const line = connections.get(connection) ?? [];
        connections.set(connection, line);
        line.push(
          exchangeOf(what, handle, (outcome) => {
            if ("error" in outcome) reject(outcome.error);
            else resolve(outcome.value);
          }),
        );
      }),
    happenings() {
      const found: Happening[] = [];
      for (const line of connections.values()) {
        const [head] = line;
        if (head?.state === "sent") {
          found.push({ what: `${head.what} arrives`, at: "server", run: head.arrive });
        } else if (head?.state === "answered") {
          const deliver = () => {
            line.shift();
            head.deliver();
          };
          found.push({ what: `${head.what} is answered`, at: process, run: deliver });
        }
      }
      return found;
    },
    cut(error, arriving) {
      const broken = all();
      connections.clear();
      for (const exchange of broken.filter(isUnderWay).slice(0, arriving)) exchange.arrive();
      for (const exchange of broken) exchange.fail(error());
    },
    orphan(arriving) {
      const arrivals = all().filter(isUnderWay).slice(0, arriving);
      connections.clear();
      for (const exchange of arrivals) connections.set(`${exchange.what} of the dead`, [exchange]);
    },
    get pending() {
      return all().length;
    },
  };
}
