/** Unsigned LEB128 numbers of up to 53 bits, and bytes, as the ledger is written in. */

export function pushVarint(out: number[], value: number): void {
  let rest = value;
  while (rest >= 0x80) {
    out.push((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  out.push(rest);
}

export const varintLength = (value: number): number => {
  let length = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++;
  return length;
};

/** Throws RangeError past the end, and for a number that is too large. */
export function reader(bytes: Uint8Array) {
  let at = 0;
  const byte = (): number => {
    const value = bytes[at++];
    if (value === undefined) throw new RangeError("it ends too early");
    return value;
  };
  return {
    varint(): number {
      let value = 0;
      for (let factor = 1; ; factor *= 0x80) {
        const next = byte();
        value += (next & 0x7f) * factor;
        if (!Number.isSafeInteger(value)) throw new RangeError("a number in it is too large");
        if (next < 0x80) return value;
      }
    },
    take(count: number): Uint8Array {
      if (at + count > bytes.length) throw new RangeError("it ends too early");
      at += count;
      return bytes.subarray(at - count, at);
    },
    atEnd: () => at === bytes.length,
  };
}
