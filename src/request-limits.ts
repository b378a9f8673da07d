/**
 * Options of a Fastify server by which no connection is held open for nothing. Milliseconds for a whole request to arrive,
 * and as many of silence; its headers have half of it. Without the interval, Node looks for late ones twice a minute only.
 */
export const requestLimits = (requestTimeout: number) => ({
  requestTimeout,
  // Of silence. A caller that sends a byte now and then meets the other two.
  connectionTimeout: requestTimeout,
  http: {
    requestTimeout,
    headersTimeout: requestTimeout / 2,
    connectionsCheckingInterval: requestTimeout / 10,
  },
});
