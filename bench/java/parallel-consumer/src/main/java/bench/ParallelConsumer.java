package bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.confluent.parallelconsumer.ParallelConsumerOptions;
import io.confluent.parallelconsumer.ParallelConsumerOptions.CommitMode;
import io.confluent.parallelconsumer.ParallelConsumerOptions.ProcessingOrder;
import io.confluent.parallelconsumer.vertx.VertxParallelEoSStreamProcessor;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.ext.web.client.WebClient;
import io.vertx.ext.web.client.WebClientOptions;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Confluent Parallel Consumer with its Vert.x client: batches of any records, each posted to all environments at once.
 * Argument: the task, as JSON.
 */
public final class ParallelConsumer {
  /** Batches under way. */
  private static final int CONCURRENCY = Integer.getInteger("bench.concurrency", 16);

  private ParallelConsumer() {}

  public static void main(String[] args) throws Exception {
    Task task = new ObjectMapper().readValue(args[0], Task.class);
    Vertx vertx = Vertx.vertx();
    // One pool for each origin, so one for all environments.
    var pool = new WebClientOptions().setMaxPoolSize(CONCURRENCY * task.environments().size());
    WebClient client = WebClient.create(vertx, pool);
    List<Environment> environments =
        Future.all(task.environments().stream().map(url -> Environment.connect(client, url)).toList())
            .map(connected -> connected.<Environment>list())
            .toCompletionStage()
            .toCompletableFuture()
            .get();

    var options =
        ParallelConsumerOptions.<byte[], byte[]>builder()
            .consumer(new KafkaConsumer<>(properties(task)))
            .ordering(ProcessingOrder.UNORDERED)
            .maxConcurrency(CONCURRENCY)
            .batchSize(task.batch())
            .commitMode(CommitMode.PERIODIC_CONSUMER_ASYNCHRONOUS)
            .commitInterval(Duration.ofSeconds(1))
            .build();
    var processor = new VertxParallelEoSStreamProcessor<byte[], byte[]>(vertx, client, options);
    processor.subscribe(List.of(task.topic()), new Announcement());
    processor.batchVertxFuture(
        context -> {
          List<ConsumerRecord<byte[], byte[]>> records = context.getConsumerRecordsFlattened();
          Buffer body = Buffer.buffer(Entries.bodyOf(records.stream().map(ConsumerRecord::value).toList()));
          ConsumerRecord<byte[], byte[]> first = records.get(0);
          String key = first.topic() + ":" + first.partition() + ":" + first.offset() + "+" + records.size();
          return Future.all(environments.stream().map(each -> each.post(body, key)).toList());
        });
  }

  private static Properties properties(Task task) {
    var properties = new Properties();
    properties.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, String.join(",", task.brokers()));
    properties.put(ConsumerConfig.GROUP_ID_CONFIG, task.groupId());
    properties.put(ConsumerConfig.CLIENT_ID_CONFIG, task.clientId());
    properties.put(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG, task.sessionTimeoutMs());
    properties.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    properties.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
    // As many as a batch and more, or the default of 500 would be the limit.
    properties.put(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, 10_000);
    properties.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class);
    properties.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class);
    return properties;
  }

  /** Says when partitions were assigned: the bench's clock starts there. */
  private static final class Announcement implements ConsumerRebalanceListener {
    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
      System.out.println("{\"assigned\":" + System.currentTimeMillis() + "}");
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {}
  }
}
