import { createHash } from "node:crypto";
import type { Context } from "@opentelemetry/api";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Config } from "../config/schema.ts";
import { retryAfter } from "./answers.ts";
import type { Keyring } from "./auth.ts";
import { type CallerLimits, networkOf } from "./callers.ts";
import { type Cors, createCors } from "./cors.ts";
import { OPT_OUT, type Refuse } from "./http.ts";
import { createIntake, type Intake } from "./intake.ts";
import type { GatewayMetrics } from "./metrics.ts";
import type { Repeats } from "./repeats.ts";
import { createRequestSpans } from "./request-span.ts";
import type { Delivery, Sender } from "./sender.ts";

const KAFKA_RETRY_MS = 5_000;
const IN_PROGRESS_RETRY_MS = 1_000;

export interface OptOutOptions {
  config: Pick<Config, "gateway" | "normalization">;
  keys: Keyring;
  limits: CallerLimits;
  sender: Sender;
  repeats: Repeats;
  metrics: GatewayMetrics;
  refuse: Refuse;
}

/** `POST /opt-out`, and with `gateway.cors.origins` the OPTIONS that browsers ask before. */
export function addOptOut(app: FastifyInstance, options: OptOutOptions): void {
  const { config, keys, refuse } = options;
  const cors = createCors(config.gateway.cors.origins);
  const intake = createIntake(config.normalization);
  const take = createTaking(options);
  const admit = createAdmission(options, cors);
  const spans = createRequestSpans(OPT_OUT);

  app.post(OPT_OUT, {
    // Before the body is read: a stranger's bytes are not worth it.
    onRequest: async (request, reply) => {
      spans.start(request);
      void reply.headers(cors.headersFor(request.headers.origin));
      return admit(request, reply);
    },
    onResponse: async (request, reply) => spans.end(request, reply),
    handler: async (request, reply) => {
      const body =
        request.body instanceof URLSearchParams || Buffer.isBuffer(request.body)
          ? request.body
          : Buffer.alloc(0);
      const key = request.headers["idempotency-key"];
      const taken = intake({ body, idempotencyKey: typeof key === "string" ? key : undefined });
      if (!taken.ok) return refuse(reply, taken.reason, taken.detail);
      // Two callers may have the same idea of a key; what they mean by it is theirs.
      const scope = keys.find(request.headers) ?? "";
      const id = key === undefined ? undefined : hash(`${scope} ${taken.eventId}`);
      return take(reply, taken, { id, trace: spans.contextOf(request) });
    },
  });
  if (config.gateway.cors.origins.length === 0) return;
  app.options(OPT_OUT, async (request, reply) => {
    const allowed = cors.preflight(request.headers.origin);
    if (allowed !== undefined) return reply.code(204).headers(allowed).send();
    return refuse(reply.header("allow", "POST"), "method_not_allowed", "use POST");
  });
}

const hash = (text: string): string => createHash("sha256").update(text).digest("base64");

/** Who may pass: each caller so often, and with a key if there are any; without, no page of a foreign origin. */
function createAdmission({ keys, limits, refuse }: OptOutOptions, cors: Cors) {
  return (request: FastifyRequest, reply: FastifyReply): FastifyReply | undefined => {
    const key = keys.find(request.headers);
    // A proxy's header can hold anything; then the proxy itself is the caller.
    const address = networkOf(request.ip) ?? networkOf(request.socket.remoteAddress ?? "") ?? "";
    const wait = limits.take(key === undefined ? `address ${address}` : `key ${key}`);
    if (wait > 0) {
      void reply.header("retry-after", retryAfter(wait));
      return refuse(reply, "rate_limited", "more requests than gateway.requestsPerSecond allows one caller");
    }
    if (keys.required && key === undefined) {
      void reply.header("www-authenticate", 'Bearer realm="optout"');
      return refuse(reply, "unauthorized", "give a valid key in X-API-Key or as a bearer token");
    }
    if (!keys.required && cors.isForeign(request.headers, request.host)) {
      const detail = "this web page may not opt anybody out: name its origin in gateway.cors.origins";
      return refuse(reply, "foreign_origin", detail);
    }
    const encoding = request.headers["content-encoding"];
    if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
      return refuse(reply, "unsupported_media_type", "send the body as it is, without Content-Encoding");
    }
    return undefined;
  };
}

type Taken = Extract<Intake, { ok: true }>;

interface Request {
  id: string | undefined;
  trace: Context;
}

/**
 * Puts an opt-out on the topic and answers. `id` stands for the caller's Idempotency-Key; what is answered to a repeat of
 * it is that of draft-ietf-httpapi-idempotency-key-header: 409 while the first is being answered, 422 if it was for
 * another opt-out, else the same 202, without another record. A repeat after a 503 waits for the record that is still on
 * its way, or sends it anew if that has failed: nothing but Kafka's acknowledgement is ever answered with 202.
 */
function createTaking({ sender, repeats, metrics, refuse }: OptOutOptions) {
  return async (reply: FastifyReply, taken: Taken, { id, trace }: Request): Promise<FastifyReply> => {
    const { phone, eventId, message } = taken;
    const queued = () => reply.code(202).send({ status: "queued", phone, eventId });
    const known = id === undefined ? undefined : repeats.find(id);
    const fingerprint = id === undefined ? "" : hash(String(message.value));
    const isSame = known?.fingerprint === fingerprint;
    if (known?.state === "acknowledged") {
      if (!isSame) {
        const detail = "Kafka has another opt-out under this Idempotency-Key: give each opt-out its own key";
        return refuse(reply, "idempotency_key_reused", detail);
      }
      metrics.repeats.inc();
      return queued();
    }
    if (known?.state === "sending" && known.delivery.waiting > 0) {
      void reply.header("retry-after", retryAfter(IN_PROGRESS_RETRY_MS));
      const detail = "the first request with this Idempotency-Key is still being answered; repeat it later";
      return refuse(reply, "idempotency_key_in_progress", detail);
    }
    let delivery: Delivery | undefined = isSame ? known?.delivery : undefined;
    if (delivery === undefined) {
      delivery = sender.start(message, trace);
      if (delivery !== undefined && id !== undefined) repeats.remember(id, fingerprint, delivery);
    }
    if (delivery !== undefined && (await sender.confirmed(delivery))) return queued();
    void reply.header("retry-after", retryAfter(KAFKA_RETRY_MS));
    const detail = "Kafka has not confirmed it; repeat the request, twice does no harm";
    return refuse(reply, "kafka_unavailable", detail);
  };
}
