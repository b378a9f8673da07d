package bench;

import io.vertx.core.Future;
import io.vertx.core.buffer.Buffer;
import io.vertx.ext.web.client.WebClient;
import java.net.URI;

/** One environment of the compliance API. A request that isn't taken fails, for Parallel Consumer to retry its records. */
final class Environment {
  private static final String CREDENTIALS =
      "grant_type=client_credentials&client_id=bench&client_secret=bench-secret&scope=dnc:write";

  private final WebClient client;
  private final URI baseUrl;
  private final String token;

  private Environment(WebClient client, URI baseUrl, String token) {
    this.client = client;
    this.baseUrl = baseUrl;
    this.token = token;
  }

  /** The token outlives any bench, so it is asked for once. */
  static Future<Environment> connect(WebClient client, String baseUrl) {
    URI uri = URI.create(baseUrl);
    return client
        .post(uri.getPort(), uri.getHost(), uri.getPath() + "/oauth/token")
        .putHeader("content-type", "application/x-www-form-urlencoded")
        .sendBuffer(Buffer.buffer(CREDENTIALS))
        .map(answer -> new Environment(client, uri, answer.bodyAsJsonObject().getString("access_token")));
  }

  Future<Void> post(Buffer body, String key) {
    return client
        .post(baseUrl.getPort(), baseUrl.getHost(), baseUrl.getPath() + "/api/v2/compliance/dnc/entries")
        .putHeader("authorization", "Bearer " + token)
        .putHeader("content-type", "application/json")
        .putHeader("idempotency-key", key)
        .sendBuffer(body)
        .compose(
            answer ->
                answer.statusCode() == 201
                    ? Future.succeededFuture()
                    : Future.failedFuture("an environment answered " + answer.statusCode()));
  }
}
