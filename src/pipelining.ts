import type { Socket } from "node:net";
import type { FastifyInstance } from "fastify";

/** Requests of one connection that wait for their answers at once. Callers that pipeline at all send a few. */
const MAX_PIPELINED = 32;

/**
 * Cuts a connection that asks far more than it has been answered. Node reads some 64 KiB before it looks whether answers
 * are taken, which is 2,000 requests; each would be answered, and the answers kept for a caller who reads none of them.
 */
export function limitPipelining(app: FastifyInstance): void {
  const unanswered = new WeakMap<Socket, number>();
  const count = (socket: Socket, change: number): number => {
    const next = (unanswered.get(socket) ?? 0) + change;
    unanswered.set(socket, next);
    return next;
  };

  // Synchronous, and without `done` for those that are cut: there may be thousands of them.
  app.addHook("onRequest", ({ raw: { socket } }, reply, done) => {
    if (socket.destroyed || count(socket, 1) > MAX_PIPELINED) {
      reply.hijack();
      socket.destroy();
      return;
    }
    reply.raw.once("close", () => count(socket, -1));
    done();
  });
}
