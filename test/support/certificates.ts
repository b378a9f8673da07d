import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const WITHIN_MS = 30_000;
const CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

const openssl = (args: string[]) => run("openssl", args, { timeout: WITHIN_MS });

/** PEM files. */
export interface Certificate {
  certFile: string;
  keyFile: string;
}

export interface CertificateOptions {
  /** Its common name, for clients also the user that Kafka sees. */
  name: string;
  /** As openssl writes them: `IP:127.0.0.1,DNS:localhost`. */
  hosts?: string;
  /** Default 2; 0 makes one that is over when it is used. */
  days?: number;
}

/** A certificate authority in a folder of the test's, made by openssl. */
export interface Authority {
  readonly caFile: string;
  issue(options: CertificateOptions): Promise<Certificate>;
}

export async function createAuthority(folder: string, name: string): Promise<Authority> {
  const caFile = join(folder, `${name}.pem`);
  const caKey = join(folder, `${name}.key`);
  const isAuthority = ["-addext", "basicConstraints=critical,CA:TRUE"];
  const subject = ["-subj", `/CN=${name}`, "-days", "2"];
  await openssl(["req", "-x509", ...CURVE, "-keyout", caKey, "-out", caFile, ...subject, ...isAuthority]);
  return {
    caFile,
    async issue({ name: common, hosts, days = 2 }) {
      const base = join(folder, `${name}-${common}-${days}`);
      const [keyFile, request, certFile] = [`${base}.key`, `${base}.csr`, `${base}.pem`];
      const names = hosts === undefined ? [] : ["-addext", `subjectAltName=${hosts}`];
      await openssl([
        "req",
        ...CURVE,
        "-keyout",
        keyFile,
        "-out",
        request,
        "-subj",
        `/CN=${common}`,
        ...names,
      ]);
      const signer = ["-CA", caFile, "-CAkey", caKey, "-copy_extensions", "copy", "-days", String(days)];
      await openssl(["x509", "-req", "-in", request, "-out", certFile, ...signer]);
      return { certFile, keyFile };
    },
  };
}

/** What Kafka takes as a key store of type PEM: key and certificate in one file. */
export async function keyStoreOf({ certFile, keyFile }: Certificate): Promise<string> {
  const store = certFile.replace(/\.pem$/, "-store.pem");
  await writeFile(store, (await readFile(keyFile, "utf8")) + (await readFile(certFile, "utf8")));
  return store;
}
