package bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.List;
import org.apache.camel.Exchange;
import org.apache.camel.Message;
import org.apache.camel.builder.RouteBuilder;
import org.apache.camel.component.http.HttpComponent;
import org.apache.camel.component.kafka.KafkaComponent;
import org.apache.camel.component.kafka.KafkaConstants;
import org.apache.camel.main.Main;

/**
 * Apache Camel: its Kafka consumers collect batches, each is posted to all environments at once, and its offsets are committed when
 * all have it. Argument: the task, as JSON.
 */
public final class Camel extends RouteBuilder {
  private final Task task;
  private final int consumers;

  private Camel(Task task) {
    this.task = task;
    consumers = Integer.getInteger("bench.consumers", task.consumers());
  }

  public static void main(String[] args) throws Exception {
    var main = new Main();
    main.configure().addRoutesBuilder(new Camel(new ObjectMapper().readValue(args[0], Task.class)));
    main.run();
  }

  @Override
  public void configure() {
    int requests = consumers * task.environments().size();
    var kafka = getContext().getComponent("kafka", KafkaComponent.class);
    kafka.setKafkaClientFactory(new AnnouncingClients(consumers));
    var http = getContext().getComponent("http", HttpComponent.class);
    http.setConnectionsPerRoute(requests);

    // Until it is taken: what isn't may not be committed.
    errorHandler(
        defaultErrorHandler()
            .maximumRedeliveries(-1)
            .redeliveryDelay(100)
            .useExponentialBackOff()
            .maximumRedeliveryDelay(10_000));

    from(source())
        .process(Camel::toRequest)
        .multicast()
        .parallelProcessing()
        .executorService(getContext().getExecutorServiceManager().newFixedThreadPool(this, "requests", requests))
        .to(task.environments().stream().map(Camel::target).toArray(String[]::new));
  }

  /** In batches, and without the client's own commits: Camel commits a batch when its exchange is complete. */
  private String source() {
    return "kafka:%s?brokers=%s&groupId=%s&clientId=%s&sessionTimeoutMs=%d"
            .formatted(
                task.topic(), String.join(",", task.brokers()), task.groupId(), task.clientId(), task.sessionTimeoutMs())
        + "&batching=true&maxPollRecords=%d&pollTimeoutMs=%d&batchingIntervalMs=%d"
            .formatted(task.batch(), task.maxWaitMs(), task.maxWaitMs())
        + "&consumersCount=%d&autoOffsetReset=earliest&autoCommitEnable=false".formatted(consumers)
        + "&valueDeserializer=org.apache.kafka.common.serialization.ByteArrayDeserializer";
  }

  private static String target(String baseUrl) {
    return baseUrl
        + "/api/v2/compliance/dnc/entries?httpMethod=POST&ignoreResponseBody=true&oauth2CacheTokens=true"
        + "&oauth2ClientId=bench&oauth2ClientSecret=bench-secret&oauth2Scope=dnc:write&oauth2TokenEndpoint="
        + baseUrl
        + "/oauth/token";
  }

  private static void toRequest(Exchange batch) {
    Message message = batch.getMessage();
    List<Message> records =
        ((List<?>) message.getBody()).stream().map(record -> ((Exchange) record).getMessage()).toList();
    Message first = records.get(0);
    message.removeHeaders("*");
    message.setHeader(Exchange.CONTENT_TYPE, "application/json");
    message.setHeader(
        "idempotency-key",
        "%s:%s:%s+%d"
            .formatted(
                first.getHeader(KafkaConstants.TOPIC),
                first.getHeader(KafkaConstants.PARTITION),
                first.getHeader(KafkaConstants.OFFSET),
                records.size()));
    message.setBody(Entries.bodyOf(records.stream().map(record -> (byte[]) record.getBody()).toList()));
  }
}
