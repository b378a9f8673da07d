import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Entry } from "../../src/batching/batch.ts";
import {
  CONFIGURATION,
  dialectWith,
  entriesVerdict,
  entryOf,
  found,
  ITALIAN,
  RECORDS,
  results,
  submission,
  submit,
  UK,
  US,
} from "./delivery-admin-dnc-groups-fixture.ts";
import { network, response, signal } from "./delivery-dialect-fixture.ts";

describe("admin-dnc-groups: the request", () => {
  test("it is as the public clients send it, to the host that was discovered", async () => {
    const { request } = await submit(US, results([true, true, true]));
    assert.equal(`${request?.method} ${request?.url}`, RECORDS);
    assert.deepEqual(request?.headers, {
      authorization: "Bearer t1",
      "content-type": "application/json",
      accept: "application/json",
    });
    assert.equal(
      request?.body,
      '{"dncGroupRecords":[{"phoneNumber":4155552671},{"phoneNumber":2125550123},{"phoneNumber":2125550124}]}',
    );
    assert.equal(request?.signal, signal);
  });

  test("at most 100 entries fit into one, and no scope is asked for", () => {
    const { maxEntries, scope } = dialectWith();
    assert.deepEqual({ maxEntries, scope }, { maxEntries: 100, scope: undefined });
  });

  test("an entry that expires says so", async () => {
    const { send, requests } = network({ [CONFIGURATION]: found, [RECORDS]: results([true]) });
    const entry: Entry = {
      ...entryOf("+14155552671"),
      type: "dncl_expiration",
      expirationDate: "2027-01-01T00:00:00Z",
    };
    await dialectWith().submit(send, { ...submission([]), entries: [entry] }, signal);
    assert.equal(
      requests.at(-1)?.body,
      '{"dncGroupRecords":[{"phoneNumber":4155552671,"expiredDate":"2027-01-01T00:00:00Z"}]}',
    );
  });

  test("equal entries make equal bytes", async () => {
    const phones = [...US, UK, ITALIAN];
    const [first, second] = await Promise.all(
      [0, 1].map(async () => (await submit(phones, results([true, true, true]))).request?.body),
    );
    assert.equal(first, second);
  });
});

describe("admin-dnc-groups: numbers", () => {
  const numberOf = async (phone: string, forms: Record<string, "digits" | "national">): Promise<unknown> => {
    const { request, result } = await submit([phone], results([true]), dialectWith(forms));
    if (result.httpStatus === null) return result.detail;
    return JSON.parse(request?.body.toString() ?? "").dncGroupRecords[0].phoneNumber;
  };

  test("of +1 are national, unless the configuration says otherwise", async () => {
    assert.equal(await numberOf("+14155552671", {}), 4_155_552_671);
    assert.equal(await numberOf("+14155552671", { 1: "digits" }), 14_155_552_671);
    assert.equal(await numberOf("+18765551234", {}), 8_765_551_234, "Jamaica shares the calling code");
  });

  test("of another calling code have the form that is configured", async () => {
    assert.equal(await numberOf(UK, { 44: "digits" }), 442_071_838_750);
    assert.equal(await numberOf(UK, { 44: "national" }), 2_071_838_750);
    assert.equal(await numberOf(ITALIAN, { 39: "digits" }), 390_612_345_678);
  });

  test("of the greatest length keep every digit", async () => {
    assert.equal(await numberOf("+498001234567891", { 49: "digits" }), 498_001_234_567_891);
  });

  test("of a calling code without a form are refused, with the remedy and without the number", async () => {
    assert.equal(
      await numberOf(UK, {}),
      "numbers of +44 have no form here: set numberForms of this environment",
    );
    assert.equal(
      await numberOf(UK, { 4: "digits", 442: "digits" }),
      "numbers of +44 have no form here: set numberForms of this environment",
    );
    assert.equal(
      await numberOf("+999123456", { 9: "digits" }),
      "the number's country calling code is unknown",
    );
  });

  test("that begin with 0 in their national form are refused, since an integer can't hold it", async () => {
    assert.equal(
      await numberOf(ITALIAN, { 39: "national" }),
      "this number of +39 begins with 0 in its national form, which an integer can't hold: set numberForms to digits",
    );
  });
});

describe("admin-dnc-groups: entries refused here", () => {
  const noForm = "numbers of +44 have no form here: set numberForms of this environment";

  test("aren't sent; the others are, and the outcomes are in the order of the entries", async () => {
    const phones = [UK, "+14155552671", UK, "+12125550123", "+12125550124"];
    const { result, request } = await submit(phones, results([true, false, true]));
    assert.deepEqual(JSON.parse(request?.body.toString() ?? ""), {
      dncGroupRecords: [
        { phoneNumber: 4155552671 },
        { phoneNumber: 2125550123 },
        { phoneNumber: 2125550124 },
      ],
    });
    assert.deepEqual(result, {
      verdict: entriesVerdict("refused", "taken", "refused", "retry", "taken"),
      httpStatus: 200,
      requestId: null,
      detail: noForm,
    });
  });

  test("make no request, not even for the API's host, if nothing is left to send", async () => {
    const { send, requests } = network({});
    const result = await dialectWith().submit(send, submission([UK, UK]), signal);
    assert.deepEqual(requests, []);
    assert.deepEqual(result, {
      verdict: entriesVerdict("refused", "refused"),
      httpStatus: null,
      requestId: null,
      detail: noForm,
    });
  });

  test("each reason is told once", async () => {
    const dialect = dialectWith({ 39: "national" });
    const { result } = await submit([UK, ITALIAN, UK, "+14155552671"], results([false]), dialect);
    assert.deepEqual(result.verdict, entriesVerdict("refused", "refused", "refused", "refused"));
    assert.deepEqual(result.detail?.split("; "), [
      noForm,
      "this number of +39 begins with 0 in its national form, which an integer can't hold: set numberForms to digits",
      "the API didn't add this number to the group",
    ]);
  });

  test("don't hide what became of the rest of the request", async () => {
    assert.equal((await submit([UK, ...US], response(503))).result.verdict.kind, "unavailable");
    assert.equal((await submit([UK, ...US], response(400))).result.verdict.kind, "refused");
    assert.equal((await submit([UK, ...US], results([true]))).result.verdict.kind, "short");
  });
});
