import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { checkWithoutEntries } from "../../src/delivery/dialects/check-access.ts";
import type { HttpRequest, HttpResponse, HttpSend } from "../../src/delivery/dialects/dialect.ts";
import { checkGroup } from "../../src/delivery/dialects/dnc-group.ts";

const responseOf = (status: number, body: unknown = {}): HttpResponse => ({
  ...{ status, header: () => undefined, body: JSON.stringify(body) },
});
const { signal } = new AbortController();
const URL = "https://api.example.com/entries";

describe("a request without entries", () => {
  test("has no body at all, so nothing can be added by it", async () => {
    const sent: HttpRequest[] = [];
    const send: HttpSend = async (request) => {
      sent.push(request);
      return responseOf(400);
    };
    await checkWithoutEntries(send, { url: URL, token: "t0ken", signal }, "");
    assert.deepEqual(
      sent.map(({ method, url, body, headers }) => [method, url, body, headers]),
      [["POST", URL, "", { authorization: "Bearer t0ken", accept: "application/json" }]],
    );
  });

  for (const [statuses, result] of [
    [[400, 411, 415, 422, 200, 201], "ok"],
    [[401, 403, 404, 405, 302, 500, 503], "failed"],
    [[429], "warning"],
    [[408, 409, 425], "not_checked"],
  ] as const) {
    test(`that is answered ${statuses.join(", ")} is ${result}, without the token in it`, async () => {
      for (const status of statuses) {
        const send: HttpSend = async () => responseOf(status);
        const observation = await checkWithoutEntries(
          send,
          { url: URL, token: "t0ken", signal },
          "Ask for it.",
        );
        assert.equal(observation.result, result, `${status}`);
        assert.match(observation.detail, new RegExp(`\\b${status}\\b`));
        assert.doesNotMatch(JSON.stringify(observation), /t0ken/);
        if (status === 403) assert.equal(observation.remedy, "Ask for it.");
      }
    });
  }
});

describe("a success for a request without entries", () => {
  for (const body of ["<html>Sign in</html>", "", "[]", "null", '"ok"']) {
    test(`proves nothing if its body is ${body || "empty"}`, async () => {
      const send: HttpSend = async () => ({ status: 200, header: () => undefined, body });
      const { result, remedy } = await checkWithoutEntries(send, { url: URL, token: "t", signal }, "");
      assert.equal(result, "not_checked");
      assert.match(remedy ?? "", /baseUrl/);
    });
  }
});

describe("a do-not-call group", () => {
  const active = { dncGroupId: 7, isActive: true, isRemoved: false };
  const skills = { scrubbedSkills: [{ skillId: 1 }] };
  const judge = async (group: HttpResponse, scrubbed: HttpResponse): Promise<string[]> => {
    const send: HttpSend = async ({ url }) => (url.endsWith("/scrubbed-skills") ? scrubbed : group);
    const found = await checkGroup(send, { url: "https://a/7", token: "t", signal, groupId: 7 });
    return found.map(({ check, result }) => `${check} ${result}`);
  };
  const fine = ["group ok", "skills ok"];

  test("is read in each of the forms that versions of the API have", async () => {
    for (const body of [
      { resultSet: { dncGroups: [active] } },
      { dncGroups: [active] },
      { ...active, isActive: "true" },
    ]) {
      assert.deepEqual(await judge(responseOf(200, body), responseOf(200, skills)), fine);
    }
    assert.deepEqual(await judge(responseOf(200, active), responseOf(200, { resultSet: skills })), fine);
  });

  test("that is inactive, removed, absent or scrubbed against nothing fails", async () => {
    const off = ["group failed", "skills ok"];
    assert.deepEqual(
      await judge(responseOf(200, { ...active, isActive: false }), responseOf(200, skills)),
      off,
    );
    assert.deepEqual(
      await judge(responseOf(200, { ...active, isRemoved: true }), responseOf(200, skills)),
      off,
    );
    assert.deepEqual(await judge(responseOf(404), responseOf(404)), ["group failed"]);
    const unscrubbed = responseOf(200, { scrubbedSkills: [] });
    assert.deepEqual(await judge(responseOf(200, active), unscrubbed), ["group ok", "skills failed"]);
  });

  test("of which no sense can be made is not said to be checked", async () => {
    const unknown = ["group not_checked", "skills not_checked"];
    assert.deepEqual(await judge(responseOf(403), responseOf(403)), unknown);
    assert.deepEqual(
      await judge(responseOf(200, { resultSet: { dncGroups: [] } }), responseOf(200, [])),
      unknown,
    );
    assert.deepEqual(
      await judge(responseOf(200, { isActive: "perhaps" }), responseOf(200, { scrubbedSkills: 3 })),
      unknown,
    );
  });
});
