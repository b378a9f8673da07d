import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { OptoutError } from "../../src/errors.ts";
import { REASONS, statusOf } from "../../src/gateway/answers.ts";
import { readPackageFile } from "../../src/package-files.ts";
import { exchange, gate, gatewayWith, optOut, type Setup } from "./gateway-fixture.ts";

type Json = Record<string, unknown>;
const jsonObject = z.record(z.string(), z.unknown());
const document = jsonObject.parse(JSON.parse(readPackageFile("schemas/gateway.openapi.json")));

const at = (node: unknown, ...path: string[]): unknown =>
  path.reduce<unknown>((current, step) => {
    const { success, data } = jsonObject.safeParse(current);
    return success && Object.hasOwn(data, step) ? resolve(data[step]) : undefined;
  }, node);

/** What a `$ref` stands for; one that leads nowhere fails the test. */
function resolve(node: unknown): unknown {
  const { success, data } = z.object({ $ref: z.string() }).safeParse(node);
  if (!success) return node;
  const target = at(document, ...data.$ref.replace("#/", "").split("/"));
  assert.notEqual(target, undefined, data.$ref);
  return target;
}

const entriesOf = (node: unknown): [string, unknown][] =>
  node === undefined
    ? []
    : Object.entries(jsonObject.parse(node)).map(([name, value]) => [name, resolve(value)]);

/** Checks values against a schema of the document. */
function validatorOf(schema: unknown) {
  const { components } = document;
  const text = JSON.stringify({
    ...jsonObject.parse(schema),
    $defs: at({ components }, "components", "schemas"),
  });
  return z.fromJSONSchema(JSON.parse(text.replaceAll("#/components/schemas/", "#/$defs/")));
}

interface Answer {
  method: string;
  path: string;
  status: number;
  headers: Headers;
  body: string;
}

/** Each answer must be documented, with its headers, content type and body. */
function assertDocumented({ method, path, status, headers, body }: Answer): void {
  const what = `${method} ${path} ${status}`;
  const response = at(document, "paths", path, method.toLowerCase(), "responses", String(status));
  assert.notEqual(response, undefined, `${what} is not documented`);
  for (const [name, header] of entriesOf(at(response, "headers"))) {
    const value = headers.get(name);
    assert.notEqual(value, null, `${what} lacks ${name}`);
    assert.ok(validatorOf(at(header, "schema")).safeParse(value).success, `${what} ${name}: ${value}`);
  }
  const type = headers.get("content-type")?.split(";")[0] ?? "";
  const content = at(response, "content");
  if (content === undefined) {
    assert.equal(body, "", what);
    return;
  }
  const schema = at(content, type, "schema");
  assert.notEqual(schema, undefined, `${what} has the type ${type}`);
  const { error } = validatorOf(schema).safeParse(type === "application/json" ? JSON.parse(body) : body);
  assert.equal(error, undefined, `${what}: ${body}`);
}

const seen = new Set<string>();

async function check(method: string, path: string, response: Response): Promise<void> {
  const { status, headers } = response;
  assertDocumented({ method, path, status, headers, body: await response.text() });
  seen.add(`${method} ${path} ${status}`);
}

async function checkRaw(method: string, path: string, text: string): Promise<void> {
  const [head = "", body = ""] = text.split("\r\n\r\n");
  const [start = "", ...lines] = head.split("\r\n");
  const pairs = lines.map((line): [string, string] => [
    line.slice(0, line.indexOf(":")),
    line.slice(line.indexOf(":") + 1).trim(),
  ]);
  const status = Number(start.split(" ")[1]);
  await check(method, path, new Response(body, { status, headers: new Headers(pairs) }));
}

async function checkOptOut(setup: Setup, body: unknown, headers: Record<string, string> = {}, times = 1) {
  await using gateway = await gatewayWith(setup);
  for (let n = 0; n < times; n += 1) await check("POST", "/opt-out", await gateway.post(body, headers));
}

const down = async () => {
  throw new OptoutError("kafka_unreachable", "Can't reach Kafka.");
};

test("taken and rejected opt-outs are as documented, examples too", async () => {
  const content = at(document, "paths", "/opt-out", "post", "requestBody", "content");
  for (const [name, example] of entriesOf(at(content, "application/json", "examples"))) {
    await using gateway = await gatewayWith();
    const response = await gateway.post(at(example, "value"));
    assert.equal(response.status, 202, name);
    await check("POST", "/opt-out", response);
  }
  for (const [, example] of entriesOf(at(content, "application/x-www-form-urlencoded", "examples"))) {
    await checkOptOut({}, String(at(example, "summary")), {
      "content-type": "application/x-www-form-urlencoded",
    });
  }
  const rejected = ["", "[]", "{}", '{"phone":"1"}', '{"phone":"2125550123","action":"opt_in"}'];
  for (const body of [...rejected, '{"phone":"2125550123","region":"XX"}']) await checkOptOut({}, body);
  await checkOptOut({}, optOut, { "idempotency-key": '"' });
});

test("refusals of callers are as documented", async () => {
  await checkOptOut({ gateway: { apiKeys: ["k"] } }, optOut);
  await checkOptOut({}, optOut, { origin: "https://elsewhere.example" });
  await checkOptOut({}, "x".repeat(17_000));
  await checkOptOut({}, "<x/>", { "content-type": "text/xml" });
  await checkOptOut({ gateway: { requestsPerSecond: 0.01 } }, optOut, {}, 2);
  await using gateway = await gatewayWith({ requestTimeout: 300 });
  const { url } = gateway.gateway;
  await gateway.post(optOut, { "idempotency-key": "k" });
  const another = await gateway.post({ phone: "2125550199" }, { "idempotency-key": "k" });
  assert.equal(another.status, 422);
  await check("POST", "/opt-out", another);
  const expecting = "POST /opt-out HTTP/1.1\r\nhost: x\r\nexpect: more\r\nconnection: close\r\n\r\n";
  const [expected = ""] = (await exchange(url, [expecting])).split("\r\n\r\n");
  // The rest is the end of an empty chunked body.
  await checkRaw("POST", "/opt-out", expected);
  const pieces = Array<string>(100).fill("x: 1\r\n");
  const slow = await exchange(url, ["POST /opt-out HTTP/1.1\r\n", ...pieces], () => sleep(30));
  await checkRaw("POST", "/opt-out", slow);
  await checkRaw(
    "POST",
    "/opt-out",
    await exchange(url, [`POST /opt-out HTTP/1.1\r\nx: ${"x".repeat(17_000)}`]),
  );
});

test("what Kafka's and the gateway's own failures answer is as documented", async () => {
  await checkOptOut({ send: down }, optOut);
  const kafka = gate();
  const under = gate();
  const send = () => {
    under.open();
    return kafka.opened;
  };
  await using gateway = await gatewayWith({ send });
  const first = gateway.post(optOut, { "idempotency-key": "k" });
  await under.opened;
  await check("POST", "/opt-out", await gateway.post(optOut, { "idempotency-key": "k" }));
  kafka.open();
  await check("POST", "/opt-out", await first);
  let broken = false;
  const now = () => {
    if (broken) throw new Error("a defect");
    return 0;
  };
  await using defective = await gatewayWith({ now });
  broken = true;
  await check("POST", "/opt-out", await defective.post(optOut));
});

test("browsers' questions, probes and other methods are answered as documented", async () => {
  const origin = "https://www.example.com";
  await using gateway = await gatewayWith({ gateway: { cors: { origins: [origin] } } });
  await using unready = await gatewayWith({ checkKafka: down });
  const ask = (path: string, method: string, headers = {}) =>
    fetch(gateway.gateway.url + path, { method, headers });
  await check("OPTIONS", "/opt-out", await ask("/opt-out", "OPTIONS", { origin }));
  await check("OPTIONS", "/opt-out", await ask("/opt-out", "OPTIONS"));
  for (const path of ["/openapi.json", "/livez", "/readyz", "/metrics"]) {
    await check("GET", path, await ask(path, "GET"));
    // Other methods than a path's are described with it.
    await check("GET", path, await ask(path, "DELETE"));
  }
  await check("POST", "/opt-out", await ask("/opt-out", "PUT"));
  await check("GET", "/readyz", await fetch(`${unready.gateway.url}/readyz`));
  const served = await (await ask("/openapi.json", "GET")).json();
  assert.deepEqual(served, document);
});

test("the reasons of the document are those of the code", () => {
  const reasonsOf = (schema: string) =>
    z
      .array(z.string())
      .parse(at(document, "components", "schemas", schema, "properties", "reason", "enum"))
      .sort();
  const rejected = REASONS.filter((reason) => statusOf(reason) === 400);
  assert.deepEqual(reasonsOf("Rejected"), [...rejected].sort());
  assert.deepEqual(reasonsOf("Refused"), REASONS.filter((reason) => !rejected.includes(reason)).sort());
});

test("what is not to be repeated is said of every refusal that would come again", () => {
  const description = z.string().parse(at(document, "info", "description"));
  const listed = /any other answer but ([\d, and]+) repeat/.exec(description)?.[1]?.match(/\d+/g);
  const statuses = entriesOf(at(document, "paths", "/opt-out", "post", "responses")).map(
    ([status]) => status,
  );
  const passing = ["202", "408", "409", "429", "500", "503"];
  assert.deepEqual(
    listed,
    statuses.filter((status) => !passing.includes(status)),
  );
});

test("every example fits its schema", () => {
  let examples = 0;
  const look = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    const { schema, examples: named } = node as Json;
    for (const [name, example] of entriesOf(schema === undefined ? undefined : named)) {
      examples += 1;
      const { error } = validatorOf(schema).safeParse(at(example, "value"));
      assert.equal(error, undefined, `${name}: ${JSON.stringify(example)}`);
    }
    Object.values(node).forEach(look);
  };
  look(document);
  assert.ok(examples > 10);
});

after(() => {
  const documented = entriesOf(document.paths).flatMap(([path, operations]) =>
    entriesOf(operations).flatMap(([method, operation]) =>
      entriesOf(at(operation, "responses")).map(([status]) => `${method.toUpperCase()} ${path} ${status}`),
    ),
  );
  assert.deepEqual([...seen].sort(), documented.sort());
});
