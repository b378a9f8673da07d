/** Of a record, as kafkajs gives them: a header that came several times is an array. */
export type RecordHeaders = Record<string, unknown> | undefined;

/** The header's last value, which is the one that counts in Kafka's own clients; undefined if there is none. */
export function headerBytes(headers: RecordHeaders, name: string): Buffer | undefined {
  if (headers === undefined || !Object.hasOwn(headers, name)) return undefined;
  const given = headers[name];
  const last: unknown = Array.isArray(given) ? given.at(-1) : given;
  if (Buffer.isBuffer(last)) return last;
  return typeof last === "string" ? Buffer.from(last) : undefined;
}

export const headerText = (headers: RecordHeaders, name: string): string | undefined =>
  headerBytes(headers, name)?.toString().trim();

/** Asked for every record, so it makes no list of names. */
export function isEmpty(headers: object): boolean {
  for (const _name in headers) return false;
  return true;
}
