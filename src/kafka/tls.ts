import { X509Certificate } from "node:crypto";
import { type ConnectionOptions, createSecureContext, type SecureContext } from "node:tls";
import { isDeepStrictEqual } from "node:util";
import { readText } from "../config/read-text.ts";
import type { KafkaConfig } from "../config/schema.ts";
import { messageOf, OptoutError } from "../errors.ts";
import type { Logger } from "../observability/logger.ts";

type TlsFiles = Exclude<KafkaConfig["ssl"], boolean>;
const FILE_KEYS = ["caFile", "certFile", "keyFile"] as const;
type Pems = Partial<Record<(typeof FILE_KEYS)[number], string>>;

/**
 * Options for the next TLS connection. Its files are read again each time, so that a renewed certificate is used without a
 * restart; while they can't be used (of a pair, one is renewed before the other) those read before stay in use, and the log
 * says so once.
 * @throws OptoutError `configuration`, at once, when a file of `kafka.ssl` can't be read or used; the returned function never.
 */
export function createTlsOptions(ssl: TlsFiles, logger: Logger): () => ConnectionOptions {
  const { rejectUnauthorized, servername } = ssl;
  let pems = readPems(ssl);
  let secureContext = contextOf(pems);
  let complaint = "";

  const refresh = (): void => {
    try {
      const read = readPems(ssl);
      if (!isDeepStrictEqual(read, pems)) {
        secureContext = contextOf(read);
        pems = read;
        logger.info("the certificate files of kafka.ssl have changed; new connections use them");
      }
      complaint = "";
    } catch (error) {
      const before = complaint;
      complaint = messageOf(error);
      if (complaint !== before) logger.warn(`${complaint} The certificates read before stay in use.`);
    }
  };

  return () => {
    refresh();
    return { secureContext, rejectUnauthorized, ...(servername !== undefined && { servername }) };
  };
}

const unusable = (keys: string, why: string, cause?: unknown): OptoutError =>
  new OptoutError("configuration", `${keys}: ${why}.`, { cause });

function readPems(ssl: TlsFiles): Pems {
  const pems: Pems = {};
  for (const key of FILE_KEYS) {
    const file = ssl[key];
    if (file === undefined) continue;
    try {
      pems[key] = readText(file);
    } catch (error) {
      throw unusable(`kafka.ssl.${key}`, messageOf(error), error);
    }
    if (key !== "keyFile") requireCertificate(key, file, pems[key]);
  }
  return pems;
}

/** OpenSSL takes a file without any certificate for an empty list of authorities, and then trusts nobody. */
function requireCertificate(key: string, file: string, pem: string): void {
  try {
    new X509Certificate(pem);
  } catch (error) {
    const expected = "a PEM file that begins with -----BEGIN CERTIFICATE-----";
    throw unusable(`kafka.ssl.${key}`, `"${file}" holds no certificate; expected ${expected}`, error);
  }
}

function contextOf({ caFile: ca, certFile: cert, keyFile: key }: Pems): SecureContext {
  try {
    return createSecureContext({
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
    });
  } catch (error) {
    const why = /key values mismatch/.test(messageOf(error))
      ? "the key isn't the certificate's"
      : "they can't be used; expected PEM files, the key in PKCS#8 or PKCS#1 and without a passphrase";
    throw unusable("kafka.ssl.certFile and kafka.ssl.keyFile", why, error);
  }
}
