interface Range {
  partition: number;
  first: number;
  last: number;
}

/** Counts the requests that went out about a range of offsets. */
export function createSends() {
  const all: (Range & { environment: string })[] = [];
  return {
    add: (environment: string, range: Range): void => void all.push({ environment, ...range }),
    count: (environment: string, { partition, first, last }: Range): number =>
      all.filter(
        (each) =>
          each.environment === environment &&
          each.partition === partition &&
          each.last >= first &&
          each.first <= last,
      ).length,
  };
}
