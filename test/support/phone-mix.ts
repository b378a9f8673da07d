import { createRandom } from "../chaos/random.ts";

export interface Written {
  text: string;
  region: string | undefined;
}

/** In a hundred. `A` stands for an area code, `N` for 2 to 9, `D` for any digit, another character for itself. */
type Shape = readonly [share: number, text: string, region?: string];

const AREA_CODES = [
  "201",
  "206",
  "212",
  "213",
  "303",
  "305",
  "312",
  "404",
  "416",
  "512",
  "604",
  "617",
] as const;

/** What forms, customer databases and voice menus send. */
const SHAPES: readonly Shape[] = [
  [33, "+1ANDDDDDD", "US"],
  [6, "+1ANDDDDDD"],
  [5, "+447712DDDDDD", "GB"],
  [4, "+4420794DDDDD", "US"],
  [4, "+49151DDDDDDDD", "DE"],
  [1, "+33612DDDDDD", "US"],
  [1, "+525512DDDDDD", "US"],
  [1, "+919812DDDDDD"],
  [8, "ANDDDDDD", "US"],
  [7, "(A) NDD-DDDD", "US"],
  [6, "A-NDD-DDDD", "US"],
  [4, "A.NDD.DDDD", "US"],
  [4, "1-A-NDD-DDDD", "US"],
  [3, "07712 DDDDDD", "GB"],
  [2, "020 7946 DDDD", "GB"],
  [2, "0151 DDDDDDDD", "DE"],
  [1, "030/DDDDDD", "DE"],
  // Not valid: too short, no such area, not a country's, no region.
  [1, "+1ANDDDDD", "US"],
  [1, "555-DDDD", "US"],
  [1, "+1155NDDDDDD", "US"],
  [1, "ANDDDDDD"],
  // Not plainly written: extensions, an international prefix, a URI, letters.
  [1, "A-NDD-DDDD x DDD", "US"],
  [1, "00 44 7712 DDDDDD", "GB"],
  [1, "tel:+1-A-NDD-DDDD", "US"],
  [1, "1-800-GIFT-NDD", "US"],
];

const HUNDRED = SHAPES.flatMap((shape) => Array.from({ length: shape[0] }, () => shape));

/** So many phones of all shapes, mixed. Practically all are different, as opt-outs are. */
export function phoneMix(count: number): Written[] {
  const { int, pick } = createRandom(1);
  const filled = (kind: string): string =>
    kind === "A" ? pick(AREA_CODES) : String(int(kind === "N" ? 2 : 0, 9));
  return Array.from({ length: count }, () => {
    const [, text = "", region] = HUNDRED[int(0, HUNDRED.length - 1)] ?? [];
    return { text: text.replace(/[AND]/g, filled), region };
  });
}
