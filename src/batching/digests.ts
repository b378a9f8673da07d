/** Numbers of 12 bits, two in three bytes: how the ledger keeps its batches' digests. More bits of a number are cut off. */
export function packDigests(digests: readonly number[]): number[] {
  const out: number[] = [];
  for (let index = 0; index < digests.length; index += 2) {
    const first = (digests[index] ?? 0) & 0xfff;
    const second = (digests[index + 1] ?? 0) & 0xfff;
    out.push(first >> 4, ((first & 0xf) << 4) | (second >> 8), second & 0xff);
  }
  return out;
}

/** The bytes that so many take. */
export const digestBytes = (count: number): number => Math.ceil(count / 2) * 3;

/** One of them, by its index. */
export function digestAt(packed: Uint8Array, index: number): number {
  const at = (index >> 1) * 3;
  const [a = 0, b = 0, c = 0] = packed.subarray(at, at + 3);
  return index % 2 === 0 ? (a << 4) | (b >> 4) : ((b & 0xf) << 8) | c;
}
