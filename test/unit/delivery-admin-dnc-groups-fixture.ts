import type { Entry } from "../../src/batching/batch.ts";
import { adminDncGroups } from "../../src/delivery/dialects/admin-dnc-groups.ts";
import type { EntryOutcome, HttpResponse, Verdict } from "../../src/delivery/dialects/dialect.ts";
import { COMMON, NOW, network, response, signal } from "./delivery-dialect-fixture.ts";

export const ISSUER = "https://issuer.example.com/base";
export const CONFIGURATION = `GET ${ISSUER}/.well-known/cxone-configuration?tenantId=t%20%2F1`;
export const RECORDS_PATH = "/incontactapi/services/v30.0/dnc-groups/42/records";
export const RECORDS = `POST https://api.example.com${RECORDS_PATH}`;
export const found = response(200, { api_endpoint: "https://api.example.com/" });

export const AUTH = { accessKeyId: "key", accessKeySecret: "s3cret" };

export const dialectWith = (
  numberForms: Record<string, "digits" | "national"> = {},
  issuer = ISSUER,
  now = () => NOW,
) =>
  adminDncGroups.create({
    environment: {
      ...{ ...COMMON, baseUrl: issuer, auth: AUTH },
      ...{ tenantId: "t /1", apiVersion: 30, groupId: 42, numberForms },
    },
    auth: () => AUTH,
    now,
  });

export const US = ["+14155552671", "+12125550123", "+12125550124"];
export const UK = "+442071838750";
export const ITALIAN = "+390612345678";

export const entryOf = (phone: string): Entry => ({ phone, type: "dncl", source: "web" });

export const submission = (phones: readonly string[], token = "t1") => {
  const entries = phones.map(entryOf);
  return { key: "events:0:1-2:0123456789abcdef", entries, body: Buffer.from("not this"), token };
};

/** A success with these results, and an error count that fits unless another is given. */
export const results = (successes: readonly boolean[], more: object = {}): HttpResponse => {
  const errorCount = successes.filter((success) => !success).length;
  const recordResults = successes.map((success) => ({ success, error: success ? null : "no: 4155552671" }));
  return response(200, { resultSet: { errorCount, recordResults, ...more } });
};

export const submit = async (phones: readonly string[], answer: HttpResponse, dialect = dialectWith()) => {
  const { send, requests } = network({ [CONFIGURATION]: found, [RECORDS]: answer });
  const result = await dialect.submit(send, submission(phones), signal);
  return { result, request: requests.at(-1), requests };
};

export const kindOf = async (answer: HttpResponse, phones = US): Promise<Verdict["kind"]> =>
  (await submit(phones, answer)).result.verdict.kind;

export const taken: EntryOutcome = { kind: "taken" };
/** As the API's answer has it. */
export const failed: EntryOutcome = {
  kind: "retry",
  detail: "the API didn't add this number to the group",
};
/** Here, without a request. */
export const refused = (detail: string): EntryOutcome => ({ kind: "refused", detail, sent: false });

export const entriesVerdict = (...outcomes: EntryOutcome[]): Verdict => ({ kind: "entries", outcomes });
