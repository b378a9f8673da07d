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

declare module "kafkajs/src/network/connection.js" {
  interface Connection {
    /** A `process.hrtime()`. */
    authenticatedAt: [number, number] | null;
    /** Of the login, in milliseconds, a 64-bit integer; 0: without end. */
    sessionLifetime: { toString(): string };
    isAuthenticated(): boolean;
  }
  const Connection: { prototype: Connection };
  // biome-ignore lint/style/noDefaultExport: it is how a CommonJS module looks from here
  export default Connection;
}

declare module "kafkajs/src/protocol/encoder.js" {
  class Encoder {
    readonly buf: Buffer;
    /** Where it writes on. */
    readonly offset: number;
    readonly buffer: Buffer;
    writeInt32(value: number): this;
    writeEncoder(value: Pick<Encoder, "buf" | "buffer">): this;
  }
  // biome-ignore lint/style/noDefaultExport: it is how a CommonJS module looks from here
  export default Encoder;
}

declare module "kafkajs/src/protocol/decoder.js" {
  export interface Header {
    key: string | null;
    value: Buffer | null;
  }
  class Decoder {
    constructor(buffer: Buffer);
    offset: number;
    readInt32(): number;
    canReadBytes(length: number): boolean;
    readBytes(length: number): Buffer;
    readVarIntArray(reader: (decoder: Decoder) => Header): Header[];
  }
  // biome-ignore lint/style/noDefaultExport: it is how a CommonJS module looks from here
  export default Decoder;
}

declare module "kafkajs/src/protocol/messageSet/decoder.js" {
  import type Decoder from "kafkajs/src/protocol/decoder.js";
  import type { DecodedRecord } from "kafkajs/src/protocol/recordBatch/v0/decoder.js";
  // biome-ignore lint/style/noDefaultExport: it is how a CommonJS module looks from here
  export default function decodeMessageSet(decoder: Decoder, size: number): Promise<DecodedRecord[]>;
}

declare module "kafkajs/src/protocol/recordBatch/v0/decoder.js" {
  import type Decoder from "kafkajs/src/protocol/decoder.js";

  type HeaderValue = Buffer | null;
  export interface DecodedRecord {
    magicByte: number;
    attributes: number;
    timestamp: string;
    offset: string;
    key: Buffer | null;
    value: Buffer | null;
    headers: Record<string, HeaderValue | HeaderValue[]>;
    isControlRecord: boolean;
    batchContext: object;
  }
  /** Rejects with an error named KafkaJSPartialMessageError if the batch is cut off. */
  // biome-ignore lint/style/noDefaultExport: it is how a CommonJS module looks from here
  export default function decodeRecordBatch(decoder: Decoder): Promise<{ records: DecodedRecord[] }>;
}

declare module "kafkajs/src/protocol/message/compression/index.js" {
  /** By the lowest three bits; throws if the codec isn't registered. Null for none, and for what isn't a codec. */
  export function lookupCodecByAttributes(
    attributes: number,
  ): { decompress(compressed: Buffer): Promise<Buffer> } | null;
}

declare module "kafkajs/src/consumer/consumerGroup.js" {
  interface ConsumerGroup {
    groupId: string;
    memberId: string | null;
    instrumentationEmitter: { emit(name: string, payload: object): void };
    leave(): Promise<void>;
    joinAndSync(): Promise<void>;
    fetch(nodeId: string): Promise<object[]>;
  }
  const ConsumerGroup: { prototype: ConsumerGroup };
  // biome-ignore lint/style/noDefaultExport: it is how a CommonJS module looks from here
  export default ConsumerGroup;
}

declare module "kafkajs/src/consumer/offsetManager/index.js" {
  type Offsets = Record<string, Record<number, string>>;
  interface OffsetManager {
    cluster: {
      fetchTopicsOffset(
        topics: { topic: string; partitions: { partition: number }[]; fromBeginning?: boolean }[],
      ): Promise<{ partitions: { offset: string }[] }[]>;
    };
    resolvedOffsets: Offsets;
    /** By topic. */
    topicConfigurations: Record<string, { fromBeginning: boolean }>;
    /** The live object. */
    committedOffsets(): Offsets;
    setDefaultOffset(of: { topic: string; partition: number }): Promise<void>;
  }
  const OffsetManager: { prototype: OffsetManager };
  // biome-ignore lint/style/noDefaultExport: it is how a CommonJS module looks from here
  export default OffsetManager;
}

declare module "kafkajs/src/consumer/batch.js" {
  import type { KafkaMessage } from "kafkajs";

  class Batch {
    constructor(topic: string, fetchedOffset: string, data: { partition: number; messages: KafkaMessage[] });
    /** From the fetched offset on, without control records and those of aborted transactions. */
    readonly messages: KafkaMessage[];
  }
  // biome-ignore lint/style/noDefaultExport: it is how a CommonJS module looks from here
  export default Batch;
}

declare module "kafkajs/src/producer/index.js" {
  import type { Producer, ProducerConfig } from "kafkajs";

  const createProducer: (options: ProducerConfig & { cluster: object; logger: object }) => Producer;
  // biome-ignore lint/style/noDefaultExport: it is how a CommonJS module looks from here
  export default createProducer;
}

declare module "kafkajs/src/protocol/requests/produce/index.js" {
  export interface ProduceArguments {
    acks: number;
    timeout: number;
    /** 0 or absent: none. */
    compression?: number;
    topicData: {
      topic: string;
      partitions: { partition: number; messages: import("kafkajs").Message[] }[];
    }[];
    transactionalId?: string | null;
    producerId?: unknown;
  }
  interface Encoded {
    readonly buf: Buffer;
    readonly buffer: Buffer;
  }
  interface Built {
    request: { apiVersion: number; encode(): Promise<Encoded> };
  }
  /** Builds a request of a version. */
  const produce: { protocol(of: { version: number }): (given: ProduceArguments) => Built };
  // biome-ignore lint/style/noDefaultExport: it is how a CommonJS module looks from here
  export default produce;
}
