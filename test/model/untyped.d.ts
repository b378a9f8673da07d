// Declarations for the parts of kafkajs that the model drives: its own consumer over a made-up cluster.

declare module "kafkajs/src/consumer/index.js" {
  import type { Consumer, ConsumerConfig } from "kafkajs";

  const createConsumer: (
    options: ConsumerConfig & {
      cluster: object;
      logger: object;
      isolationLevel: number;
      instrumentationEmitter: object;
    },
  ) => Consumer;
  // biome-ignore lint/style/noDefaultExport: it is how a CommonJS module looks from here
  export default createConsumer;
}

declare module "kafkajs/src/instrumentation/emitter.js" {
  class InstrumentationEventEmitter {
    emit(name: string, payload: object): void;
  }
  // biome-ignore lint/style/noDefaultExport: it is how a CommonJS module looks from here
  export default InstrumentationEventEmitter;
}

declare module "kafkajs/src/protocol/error.js" {
  import type { KafkaJSProtocolError } from "kafkajs";

  export const errorCodes: { type: string; code: number; retriable: boolean; message: string }[];
  export function createErrorFromCode(code: number): KafkaJSProtocolError;
}

declare module "kafkajs/src/loggers/index.js" {
  export function createLogger(options: { level: number; logCreator(): () => void }): object;
}

declare module "kafkajs/src/errors.js" {
  export { KafkaJSError, KafkaJSOffsetOutOfRange } from "kafkajs";
}
