// Declarations for the parts of untyped packages that this folder uses.

declare module "snappyjs" {
  /** Throws on a damaged stream, or when the stream announces more than `maxLength` bytes. */
  export function uncompress(compressed: Buffer, maxLength?: number): Buffer;
  export function compress(uncompressed: Buffer): Buffer;
}

declare module "lz4js" {
  /** Decodes one block of `source` into `target` at `at`; returns where it ended, which may be past the target's end. */
  export function decompressBlock(
    source: Uint8Array,
    target: Uint8Array,
    start: number,
    length: number,
    at: number,
  ): number;
  export function compress(uncompressed: Uint8Array): Uint8Array;
}

declare module "kafkajs/src/network/requestQueue/index.js" {
  interface SocketRequestQueue {
    pending: unknown[];
    throttledUntil: number;
    throttleCheckTimeoutId: NodeJS.Timeout | null;
    checkPendingRequests(): void;
    scheduleCheckPendingRequests(): void;
  }
  const RequestQueue: { prototype: SocketRequestQueue };
  // biome-ignore lint/style/noDefaultExport: it is how a CommonJS module looks from here
  export default RequestQueue;
}
