import { createHmac, randomBytes } from "node:crypto";
import { maskPhone } from "../phone/normalize.ts";

/** What a log line may say of a phone. */
export interface PhoneInLogs {
  /** All but the last two digits masked. */
  maskedPhone: string;
  /** The same for the same phone and key; 16 hex digits of an HMAC-SHA-256 of its E.164 form. */
  phoneHash: string;
}

const HASH_DIGITS = 16;

/**
 * Makes phones fit for log lines. There are few enough phone numbers to try them all, so a hash without a key would be no
 * secret. Without a configured key lines can be correlated within the life of this process only.
 */
export function createPhoneMask(key: string | Buffer = randomBytes(32)): (phone: string) => PhoneInLogs {
  return (phone) => ({
    maskedPhone: maskPhone(phone),
    phoneHash: createHmac("sha256", key).update(phone).digest("hex").slice(0, HASH_DIGITS),
  });
}
