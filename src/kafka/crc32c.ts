/** CRC-32C (Castagnoli), as record batches have it; eight bytes at a time by eight tables, a quarter of the time of one at a time. */
export function crc32c(bytes: Uint8Array): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = TABLES;
  let crc = -1;
  let at = 0;
  for (const end = bytes.length - 7; at < end; at += 8) {
    const low =
      crc ^
      ((bytes[at] as number) |
        ((bytes[at + 1] as number) << 8) |
        ((bytes[at + 2] as number) << 16) |
        ((bytes[at + 3] as number) << 24));
    crc =
      (t7[low & 0xff] as number) ^
      (t6[(low >>> 8) & 0xff] as number) ^
      (t5[(low >>> 16) & 0xff] as number) ^
      (t4[low >>> 24] as number) ^
      (t3[bytes[at + 4] as number] as number) ^
      (t2[bytes[at + 5] as number] as number) ^
      (t1[bytes[at + 6] as number] as number) ^
      (t0[bytes[at + 7] as number] as number);
  }
  for (; at < bytes.length; at++) crc = (t0[(crc ^ (bytes[at] as number)) & 0xff] as number) ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** Reversed, as the bits go out. */
const POLYNOMIAL = 0x82f63b78;

type Tables = readonly [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];

const TABLES = makeTables();

/** Table n has what a byte becomes with n zero bytes behind it. */
function makeTables(): Tables {
  const tables: Tables = [table(), table(), table(), table(), table(), table(), table(), table()];
  const [first] = tables;
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? POLYNOMIAL ^ (crc >>> 1) : crc >>> 1;
    first[byte] = crc;
  }
  first.forEach((crc, byte) => {
    for (const each of tables.slice(1)) {
      crc = (first[crc & 0xff] as number) ^ (crc >>> 8);
      each[byte] = crc;
    }
  });
  return tables;
}

function table(): Int32Array {
  return new Int32Array(256);
}
