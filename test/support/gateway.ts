import type { CliProcess } from "./process.ts";
import { waitFor } from "./wait.ts";

/** Where a gateway process listens, once it does; `http://host:port`. */
export const gatewayUrl = (gateway: CliProcess): Promise<string> =>
  waitFor("the gateway to listen", () => {
    if (!gateway.running) throw new Error(gateway.stderr());
    const url = gateway.logs().find(({ msg }) => msg === "gateway is listening")?.url;
    return typeof url === "string" && url;
  });

/** The same, of one that is ready to take opt-outs. */
export async function readyGateway(gateway: CliProcess): Promise<string> {
  const url = await gatewayUrl(gateway);
  await waitFor("the gateway to be ready", async () => (await fetch(`${url}/readyz`)).status === 200);
  return url;
}
