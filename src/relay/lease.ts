/**
 * Whether this process may act as its partitions' owner. A process that was stopped and wakes up doesn't know that its
 * partitions went elsewhere; the time since the coordinator last knew it says that they may have.
 */
export interface Lease {
  /** The group coordinator knows this member. */
  renew(): void;
  /** The assignment is void, until `grant`. */
  revoke(): void;
  grant(): void;
  readonly isHeld: boolean;
  /** Milliseconds since the lease was last held, or 0. */
  lapsedFor(): number;
}

/** Kept short of the session timeout, since the broker's clock for it started before its answer arrived here. */
const SHARE_OF_SESSION = 0.8;

/** `sessionTimeout` and `now` in milliseconds; the clock must go on while the process is stopped. */
export function createLease(sessionTimeout: number, now: () => number): Lease {
  const length = sessionTimeout * SHARE_OF_SESSION;
  let renewedAt = now();
  let granted = false;
  let revokedAt = now();
  return {
    renew() {
      renewedAt = now();
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
