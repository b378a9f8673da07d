import { once } from "node:events";
import { connect, type Socket } from "node:net";

const answerWithinMs = 2_000;

interface Api {
  key: number;
  version: number;
}

/** Kafka's numbers for the requests used here, see https://kafka.apache.org/protocol#protocol_api_keys */
const metadata: Api = { key: 3, version: 4 };
const findCoordinator: Api = { key: 10, version: 1 };
const initProducerId: Api = { key: 22, version: 0 };

/**
 * True once the broker at 127.0.0.1 is a member of its cluster and serves groups, transactions and idempotent producers.
 * Asking is what makes a fresh broker create its internal topics, so that clients don't run into them half made.
 * Spoken by hand rather than through a client library, which retries and logs on its own.
 */
export async function brokerIsReady(port: number): Promise<boolean> {
  const socket = connect({ host: "127.0.0.1", port });
  const deadline = AbortSignal.timeout(answerWithinMs);
  socket.on("error", () => {});
  socket.once("end", () => socket.destroy(new Error("closed by the broker")));
  const call = (api: Api, body: Buffer): Promise<Buffer> => exchange(socket, api, body, deadline);
  try {
    await once(socket, "connect", { signal: deadline });
    // Every answer starts with a throttle time; then, here, the number of brokers, or an error code.
    const brokers = (await call(metadata, bytes([int32(0), int8(0)]))).readInt32BE(4);
    if (brokers === 0) return false;
    for (const coordinatorOf of [0, 1]) {
      const answer = await call(findCoordinator, bytes([text("probe"), int8(coordinatorOf)]));
      if (answer.readInt16BE(4) !== 0) return false;
    }
    const answer = await call(initProducerId, bytes([int16(-1), int32(1_000)]));
    return answer.readInt16BE(4) === 0;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Sends one request and returns its answer after the correlation id. */
async function exchange(socket: Socket, api: Api, body: Buffer, signal: AbortSignal): Promise<Buffer> {
  const header = bytes([int16(api.key), int16(api.version), int32(0), text("optout-relay-probe")]);
  socket.write(bytes([int32(header.length + body.length), header, body]));
  let received = Buffer.alloc(0);
  while (received.length < 4 || received.length < 4 + received.readInt32BE(0)) {
    const [chunk] = await once(socket, "data", { signal });
    received = Buffer.concat([received, chunk]);
  }
  return received.subarray(8);
}

const bytes = (parts: Buffer[]): Buffer => Buffer.concat(parts);

function int8(value: number): Buffer {
  return Buffer.of(value);
}

function int16(value: number): Buffer {
  const buffer = Buffer.alloc(2);
  buffer.writeInt16BE(value);
  return buffer;
}

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32BE(value);
  return buffer;
}

function text(value: string): Buffer {
  return bytes([int16(Buffer.byteLength(value)), Buffer.from(value)]);
}
