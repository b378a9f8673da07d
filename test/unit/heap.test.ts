import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

test("this Node knows the option that has it collect garbage sooner", () => {
  const module = new URL("../../src/heap.js", import.meta.url);
  const script = `import { collectSooner } from ${JSON.stringify(module.href)}; collectSooner(); console.log("done");`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
    encoding: "utf8",
  });
  assert.equal(stderr, "");
  assert.equal(stdout, "done\n");
});
