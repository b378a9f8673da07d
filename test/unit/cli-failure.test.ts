import assert from "node:assert/strict";
import { test } from "node:test";
import { CommanderError } from "commander";
import { describeFailure } from "../../src/commands/failure.ts";
import { OptoutError } from "../../src/errors.ts";

test("a failure that has a cure is its message alone, and exit code 1", () => {
  const error = new OptoutError("kafka_unreachable", "Can't reach Kafka.", { cause: new TypeError("inner") });
  assert.deepEqual(describeFailure(error), { text: "optout-relay: Can't reach Kafka.", exitCode: 1 });
});

test("wrong usage is exit code 2", () => {
  const error = new OptoutError("usage", "Name a file.");
  assert.deepEqual(describeFailure(error), { text: "optout-relay: Name a file.", exitCode: 2 });
});

test("what the argument parser has printed isn't printed again; help is no failure", () => {
  assert.deepEqual(describeFailure(new CommanderError(1, "commander.unknownOption", "x")), {
    text: "",
    exitCode: 2,
  });
  assert.deepEqual(describeFailure(new CommanderError(0, "commander.helpDisplayed", "x")), {
    text: "",
    exitCode: 0,
  });
});

test("an internal failure that says what to do is its message alone", () => {
  const error = new OptoutError("internal", "The topic was created anew. Start the relay again.");
  assert.equal(
    describeFailure(error).text,
    "optout-relay: The topic was created anew. Start the relay again.",
  );
});

test("a defect is shown with its stack and those of its causes, to be reported", () => {
  const cause = new TypeError("x is not a function");
  for (const error of [
    new Error("outer", { cause }),
    new OptoutError("internal", "It can't be encoded.", { cause }),
  ]) {
    const { text, exitCode } = describeFailure(error);
    assert.equal(exitCode, 1);
    assert.match(text, /^optout-relay: unexpected failure, please report it with these lines:\n/);
    assert.ok(text.includes(error.message));
    assert.match(text, /caused by TypeError: x is not a function\n +at .*cli-failure\.test/);
  }
  assert.match(describeFailure("just text").text, /these lines:\njust text$/);
});

test("causes that go round end", () => {
  const error: Error = new Error("round");
  error.cause = error;
  assert.equal(describeFailure(error).text.split("caused by").length, 5);
});
