import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Entry } from "../../src/batching/batch.ts";
import {
  CONFIGURATION,
  dialectWith,
  entriesVerdict,
  entryOf,
  failed,
  found,
  ITALIAN,
  RECORDS,
  refused,
  results,
  submission,
  submit,
  taken,
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

const numberOf = async (phone: string, forms: Record<string, "digits" | "national">): Promise<unknown> => {
  const { request, result } = await submit([phone], results([true]), dialectWith(forms));
  const { verdict } = result;
  if (verdict.kind === "entries") {
    const [outcome] = verdict.outcomes;
    assert.ok(outcome?.kind === "refused" && !outcome.sent);
    return outcome.detail;
  }
  return JSON.parse(request?.body.toString() ?? "").dncGroupRecords[0].phoneNumber;
};

describe("admin-dnc-groups: numbers", () => {
  test("of +1 are national, unless the configuration says otherwise", async () => {
    assert.equal(await numberOf("+14155552671", {}), 4_155_552_671);
    assert.equal(await numberOf("+14155552671", { 1: "digits" }), 14_155_552_671);
    assert.equal(await numberOf("+18765551234", {}), 8_765_551_234, "Jamaica shares the calling code");
  });

  test("of another calling code have the form that is configured", async () => {
    assert.equal(await numberOf(UK, { 44: "digits" }), 442_071_838_750);
    assert.equal(await numberOf(UK, { 1: "digits", 44: "national" }), 2_071_838_750);
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
      await numberOf(ITALIAN, { 1: "digits", 39: "national" }),
      "this number of +39 begins with 0 in its national form, which an integer can't hold: set numberForms to digits",
    );
  });
});

describe("admin-dnc-groups: numbers that could be taken for others", () => {
  const ambiguous = (code: number, national: number) =>
    `in this form, numbers of +${code} can't be told from numbers of +${national} here`;

  test("are refused: the digits of Singapore's are as many as a national number of the US has", async () => {
    assert.equal(await numberOf("+6581234567", { 65: "digits" }), ambiguous(65, 1));
    assert.equal(await numberOf("+6581234567", { 1: "national", 65: "digits" }), ambiguous(65, 1));
    assert.equal(await numberOf("+6581234567", { 1: "digits", 65: "digits" }), 6_581_234_567);
    assert.equal(await numberOf("+6581234567", { 1: "digits", 65: "national" }), 81_234_567);
  });

  test("are refused one by one: those of a country with shorter and longer numbers", async () => {
    assert.equal(await numberOf("+6433123456", { 64: "digits" }), ambiguous(64, 1));
    assert.equal(await numberOf("+64211234567", { 64: "digits" }), 64_211_234_567);
  });

  test("are those of the country whose form is national, not of the US alone", async () => {
    const british = { 1: "digits", 44: "national", 65: "digits" } as const;
    assert.equal(await numberOf("+6581234567", british), ambiguous(65, 44));
    assert.equal(await numberOf("+14155552671", british), 14_155_552_671);
    assert.equal(await numberOf("+14155552671", { 1: "digits", 49: "national" }), ambiguous(1, 49));
  });

  test("are refused in whatever form they would go out, were two countries national after all", async () => {
    assert.equal(await numberOf(UK, { 44: "national" }), ambiguous(44, 1));
  });

  test("never share an integer with a number of the country whose form is national", async () => {
    const phones = fc.tuple(
      fc.constantFrom("1", "44", "49", "64", "65", "7", "81"),
      fc.stringMatching(/^[1-9]\d{6,11}$/),
    );
    const forms = {
      44: "digits",
      49: "digits",
      64: "digits",
      65: "digits",
      7: "digits",
      81: "digits",
    } as const;
    const property = fc.asyncProperty(phones, async ([code, national]) => {
      const sent = await numberOf(`+${code}${national}`, forms);
      if (code === "1" || typeof sent !== "number") return;
      assert.notEqual(String(sent).length, 10, "as long as a national number of +1");
    });
    await fc.assert(property);
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
      verdict: entriesVerdict(refused(noForm), taken, refused(noForm), failed, taken),
      httpStatus: 200,
      requestId: null,
    });
  });

  test("make no request, not even for the API's host, if nothing is left to send", async () => {
    const { send, requests } = network({});
    const result = await dialectWith().submit(send, submission([UK, UK]), signal);
    assert.deepEqual(requests, []);
    assert.deepEqual(result, {
      verdict: entriesVerdict(refused(noForm), refused(noForm)),
      httpStatus: null,
      requestId: null,
    });
  });

  test("each is told its own reason, and no other entry's", async () => {
    const dialect = dialectWith({ 1: "digits", 39: "national" });
    const { result } = await submit([UK, ITALIAN, UK, "+393123456789"], results([false]), dialect);
    const leadingZero =
      "this number of +39 begins with 0 in its national form, which an integer can't hold: set numberForms to digits";
    assert.deepEqual(result, {
      verdict: entriesVerdict(refused(noForm), refused(leadingZero), refused(noForm), failed),
      httpStatus: 200,
      requestId: null,
    });
  });

  test("don't hide what became of the rest of the request", async () => {
    assert.equal((await submit([UK, ...US], response(503))).result.verdict.kind, "unavailable");
    assert.equal((await submit([UK, ...US], response(400))).result.verdict.kind, "refused");
    assert.equal((await submit([UK, ...US], results([true]))).result.verdict.kind, "short");
  });
});
