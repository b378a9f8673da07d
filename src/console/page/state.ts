import type { Pausing } from "../../observability/server.ts";
import type { RelayState } from "../../relay/state-view.ts";

export type {
  BatchView,
  EnvironmentView,
  NotDeliveredView,
  PartitionView,
  SettledView,
} from "../../relay/state-view.ts";

/** What `/state` answers. */
export type State = RelayState & { pausing: Pausing };
