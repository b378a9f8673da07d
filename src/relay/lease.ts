/**
 * Whether this process may act as its partitions' owner. A process that was stopped and wakes up doesn't know that its
 * partitions went elsewhere; the time since the coordinator last knew it says that they may have.
 */
export interface Lease {
  /** The group coordinator answered a question that was asked so many milliseconds ago: it knew this member then. */
  renew(age: number): void;
  /** The assignment is void, until `grant`. */
  revoke(): void;
  grant(): void;
  readonly isHeld: boolean;
  /** Milliseconds since the lease was last held, or 0. */
  lapsedFor(): number;
}

/** Kept short of the session timeout: a request that starts now should also end before another owner sends. */
const SHARE_OF_SESSION = 0.8;

/** `sessionTimeout` and `now` in milliseconds; the clock must go on while the process is stopped. */
export function createLease(sessionTimeout: number, now: () => number): Lease {
  const length = sessionTimeout * SHARE_OF_SESSION;
  let renewedAt = now();
  let granted = false;
  let revokedAt = now();
  return {
    renew(age) {
      renewedAt = Math.max(renewedAt, now() - Math.max(0, age));
    },
    revoke() {
      if (granted) revokedAt = now();
      granted = false;
    },
    grant() {
      granted = true;
    },
    get isHeld() {
      return granted && now() - renewedAt < length;
    },
    lapsedFor() {
      return granted ? Math.max(0, now() - renewedAt - length) : now() - revokedAt;
    },
  };
}
