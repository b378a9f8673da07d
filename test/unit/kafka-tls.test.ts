import assert from "node:assert/strict";
import { once } from "node:events";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import { OptoutError } from "../../src/errors.ts";
import { createTlsOptions } from "../../src/kafka/tls.ts";
import { createLogger, silentLogger } from "../../src/observability/logger.ts";
import { type Authority, type Certificate, createAuthority } from "../support/certificates.ts";

describe("the files of kafka.ssl", () => {
  let folder: string;
  let authority: Authority;
  let first: Certificate;
  let second: Certificate;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "optout-tls-"));
    authority = await createAuthority(folder, "authority");
    first = await authority.issue({ name: "first" });
    second = await authority.issue({ name: "second" });
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /** Where a process finds them, to be replaced while it runs. */
  const installed = { certFile: "", keyFile: "" };
  const install = async ({ certFile, keyFile }: Partial<Certificate>): Promise<void> => {
    if (certFile !== undefined) await copyFile(certFile, installed.certFile);
    if (keyFile !== undefined) await copyFile(keyFile, installed.keyFile);
  };

  /** Says which client certificate it is shown. */
  const startServer = async () => {
    const { certFile, keyFile } = await authority.issue({ name: "server", hosts: "DNS:kafka.internal" });
    const [ca, cert, key] = await Promise.all(
      [authority.caFile, certFile, keyFile].map((file) => readFile(file)),
    );
    if (ca === undefined || cert === undefined || key === undefined) throw new Error("no certificates");
    const server = createServer({ ca, cert, key, requestCert: true, rejectUnauthorized: true }, (socket) => {
      socket.end(String(socket.getPeerCertificate().subject.CN));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return server;
  };

  const collect = () => {
    const lines: Record<string, unknown>[] = [];
    const logger = createLogger(
      { level: "info", format: "json" },
      { write: (line) => lines.push(JSON.parse(line)) },
    );
    return { logger, lines };
  };

  test("are read for each connection; a pair of which one is renewed leaves the old in use, said once", async () => {
    installed.certFile = join(folder, "installed.pem");
    installed.keyFile = join(folder, "installed.key");
    await install(first);
    await using server = await startServer();
    const { logger, lines } = collect();
    const ssl = {
      caFile: authority.caFile,
      ...installed,
      servername: "kafka.internal",
      rejectUnauthorized: true,
    };
    const options = createTlsOptions(ssl, logger);
    const shown = async (): Promise<string> => {
      const { port } = server.address() as AddressInfo;
      const socket: TLSSocket = connect({ host: "127.0.0.1", port, ...options() });
      const chunks: Buffer[] = [];
      for await (const chunk of socket) chunks.push(chunk);
      return Buffer.concat(chunks).toString();
    };
    assert.equal(await shown(), "first");
    assert.equal(lines.length, 0);
    await install({ certFile: second.certFile });
    assert.equal(await shown(), "first");
    assert.equal(await shown(), "first");
    assert.equal(lines.length, 1);
    assert.match(
      String(lines[0]?.msg),
      /kafka\.ssl\.keyFile: the key isn't the certificate's\. The certificates read before stay/,
    );
    await install({ keyFile: second.keyFile });
    assert.equal(await shown(), "second");
    await rm(installed.certFile);
    assert.equal(await shown(), "second");
    assert.deepEqual(
      lines.map(({ level }) => level),
      ["warn", "info", "warn"],
    );
    assert.match(
      String(lines[2]?.msg),
      /kafka\.ssl\.certFile: cannot read ".*installed\.pem": there is no such file/,
    );
  });

  test("must hold what their keys promise, when the process starts", async () => {
    const text = join(folder, "text.pem");
    await writeFile(text, "no certificate");
    const { caFile } = authority;
    const cases: [files: Parameters<typeof createTlsOptions>[0], words: RegExp][] = [
      [
        { caFile: "/nowhere/ca.pem", rejectUnauthorized: true },
        /^kafka\.ssl\.caFile: cannot read "\/nowhere\/ca\.pem": there is no such file/,
      ],
      [
        { caFile: text, rejectUnauthorized: true },
        /^kafka\.ssl\.caFile: ".*text\.pem" holds no certificate; expected a PEM file/,
      ],
      [
        { caFile, certFile: text, keyFile: first.keyFile, rejectUnauthorized: true },
        /^kafka\.ssl\.certFile: ".*" holds no certificate/,
      ],
      [
        { caFile, certFile: first.certFile, keyFile: text, rejectUnauthorized: true },
        /^kafka\.ssl\.certFile and kafka\.ssl\.keyFile: they can't be used; expected PEM/,
      ],
      [
        { caFile, certFile: first.certFile, keyFile: second.keyFile, rejectUnauthorized: true },
        /the key isn't the certificate's/,
      ],
    ];
    for (const [files, words] of cases) {
      assert.throws(
        () => createTlsOptions(files, silentLogger()),
        (error: unknown) => {
          assert.ok(error instanceof OptoutError);
          assert.equal(error.code, "configuration");
          assert.match(error.message, words);
          assert.doesNotMatch(error.message, /PRIVATE KEY/);
          return true;
        },
      );
    }
  });
});
