export interface Deferred {
  readonly promise: Promise<void>;
  resolve(): void;
}

/** A promise that is resolved from outside; `Promise.withResolvers` came with Node 22. */
export function deferred(): Deferred {
  let resolve = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
