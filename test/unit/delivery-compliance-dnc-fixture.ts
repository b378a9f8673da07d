import assert from "node:assert/strict";
import { complianceDnc } from "../../src/delivery/dialects/compliance-dnc.ts";
import type { HttpRequest, HttpResponse } from "../../src/delivery/dialects/dialect.ts";
import { COMMON, NOW } from "./delivery-dialect-fixture.ts";

type Credentials = ReturnType<Parameters<typeof complianceDnc.create>[0]["auth"]>;

export const CREDENTIALS: Credentials = {
  clientId: "relay",
  clientSecret: "s3cret & more",
  scope: "dnc:write",
};

export const dialectWith = (auth = CREDENTIALS) =>
  complianceDnc.create({
    environment: { ...COMMON, baseUrl: "https://api.example.com/base", auth: CREDENTIALS },
    auth: () => auth,
    now: () => NOW,
  });

/** Sends one request of the dialect to an environment that answers this. */
export const exchange = async <T>(
  answer: HttpResponse,
  run: (send: (request: HttpRequest) => Promise<HttpResponse>) => Promise<T>,
): Promise<{ request: HttpRequest; result: T }> => {
  const requests: HttpRequest[] = [];
  const result = await run(async (request) => {
    requests.push(request);
    return answer;
  });
  const [request] = requests;
  assert.ok(request !== undefined && requests.length === 1);
  return { request, result };
};
