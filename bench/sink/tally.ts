/** What the sink knows of each event: which environments have it, and since when all do. Cheap: two typed arrays. */

const AREA_CODES = ["212", "213", "312", "404", "415", "617", "702", "713"];
const FIRST_LINE = 2_000_000;
const PHONE = Buffer.from('"phone":"+1');
const DIGITS = 10;

/** The index that the tests' `phoneOf` makes this phone of, given without its `+1`; -1 if none. */
export function indexOf(digits: string): number {
  const place = AREA_CODES.indexOf(digits.slice(0, 3));
  return place === -1 ? -1 : (Number(digits.slice(3)) - FIRST_LINE) * AREA_CODES.length + place;
}

export interface Tally {
  /** Takes a request's entries; undefined if one of them is no event of this run. */
  take(environment: number, body: Buffer): { entries: number; duplicates: number } | undefined;
  /** Events that every environment has. */
  readonly complete: number;
  /** For each event the time of the last environment's answer, in milliseconds since the epoch; 0: not yet. */
  readonly completedAt: Float64Array;
}

/** @param onComplete called once, when every environment has every event. */
export function createTally(events: number, environments: number, onComplete: () => void): Tally {
  const seen = new Uint16Array(events);
  const all = 2 ** environments - 1;
  const completedAt = new Float64Array(events);
  let complete = 0;
  return {
    take(environment, body) {
      const bit = 1 << environment;
      const now = Date.now();
      let [entries, duplicates] = [0, 0];
      for (let at = body.indexOf(PHONE); at !== -1; at = body.indexOf(PHONE, at)) {
        at += PHONE.length;
        const index = indexOf(body.toString("latin1", at, at + DIGITS));
        const before = seen[index];
        if (before === undefined) return undefined;
        entries++;
        if ((before & bit) !== 0) {
          duplicates++;
          continue;
        }
        seen[index] = before | bit;
        if (seen[index] !== all) continue;
        completedAt[index] = now;
        complete++;
        if (complete === events) onComplete();
      }
      return { entries, duplicates };
    },
    get complete() {
      return complete;
    },
    completedAt,
  };
}
