import type { Entry } from "../../src/batching/batch.ts";
import type { HttpResponse } from "../../src/delivery/dialects/dialect.ts";
import { readKey } from "./reading.ts";

/** As the lane and its circuit have it. */
const PATIENCE_WITH_ONE = 8;
const FAILURES_TO_CLOSE = 5;

/** What came of a request, as its sender got it. */
export interface Answer {
  process: number;
  environment: string;
  key: string;
  body: string;
  /** If there was none: the transport failed, or its sender gave it up. */
  response: HttpResponse | "failed" | "given up";
  /** Of its sender's assignment. */
  epoch: object;
}

interface Range {
  partition: number;
  first: number;
  last: number;
}

/** A request that went out in some epoch, maybe more than once. */
interface Request extends Range {
  entries: readonly Entry[];
  isTaken: boolean;
  failuresWhileOpen: number;
}

interface Epoch {
  /** `environment|key` */
  byKey: Map<string, Request>;
  /** `environment|partition|phone` */
  byPhone: Map<string, Request[]>;
}

export const isTakenWhole = ({ response, body }: Answer): boolean =>
  typeof response === "object" &&
  response.status === 201 &&
  JSON.parse(response.body).entriesProcessed === JSON.parse(body).length;

/**
 * What the environments said to each process about the entries that it sent. By that it has to order wishes: in the epoch
 * before, or to another process, an environment may have said more, but nobody knows that.
 */
export function createWords() {
  /** `process|environment` → answers since the last one about entries: enough of them close the lane. */
  const failuresInARow = new Map<string, number>();
  const epochs = new WeakMap<object, Epoch>();

  const knownIn = (epoch: object): Epoch => {
    const known = epochs.get(epoch) ?? { byKey: new Map(), byPhone: new Map() };
    epochs.set(epoch, known);
    return known;
  };

  const requestOf = ({ epoch, environment, key, body }: Answer): Request | undefined => {
    const { byKey, byPhone } = knownIn(epoch);
    const range = readKey(key);
    const known = byKey.get(`${environment}|${key}`);
    if (known !== undefined || range === undefined) return known;
    const entries: Entry[] = JSON.parse(body);
    const request = { ...range, entries, isTaken: false, failuresWhileOpen: 0 };
    byKey.set(`${environment}|${key}`, request);
    for (const { phone } of entries) {
      const id = `${environment}|${range.partition}|${phone}`;
      byPhone.set(id, [...(byPhone.get(id) ?? []), request]);
    }
    return request;
  };

  /** Those that carried the phone for events of this range. */
  const about = (epoch: object, environment: string, { partition, first, last }: Range, phone: string) =>
    (knownIn(epoch).byPhone.get(`${environment}|${partition}|${phone}`) ?? []).filter(
      (request) => request.first >= first && request.last <= last,
    );

  const fail = (lane: string, request: Request, answer: Answer): void => {
    const { response } = answer;
    const inARow = (failuresInARow.get(lane) ?? 0) + (response === "given up" ? 0 : 1);
    failuresInARow.set(lane, inARow);
    const isAboutTheRate = typeof response === "object" && response.status === 429;
    if (inARow < FAILURES_TO_CLOSE && !isAboutTheRate) request.failuresWhileOpen++;
  };

  return {
    add(answer: Answer): void {
      const { process, environment, response } = answer;
      const lane = `${process}|${environment}`;
      const request = requestOf(answer);
      if (request === undefined) return;
      const status = typeof response === "object" ? response.status : undefined;
      const isWhole = isTakenWhole(answer);
      request.isTaken ||= isWhole;
      // More than one entry that isn't taken whole is sent in pieces, and another token is tried after a 401.
      const saysNothing = status === 401 || (status === 201 && request.entries.length > 1);
      if (isWhole || status === 422) failuresInARow.set(lane, 0);
      else if (!saysNothing) fail(lane, request, answer);
    },
    /** Whether the environment said that it has this entry. */
    isTaken: (epoch: object, environment: string, range: Range, entry: Entry): boolean =>
      about(epoch, environment, range, entry.phone).some(
        ({ isTaken, entries }) =>
          isTaken && entries.some((each) => JSON.stringify(each) === JSON.stringify(entry)),
      ),
    /** Whether a request with this phone failed so often by itself that it may hold back nobody any more. */
    isOutOfPatience: (epoch: object, environment: string, range: Range, phone: string): boolean =>
      about(epoch, environment, range, phone).some(
        ({ failuresWhileOpen }) => failuresWhileOpen >= PATIENCE_WITH_ONE,
      ),
  };
}
