package bench;

import java.util.Collection;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.camel.component.kafka.DefaultKafkaClientFactory;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;

/** Kafka's own consumers, which say when the last of them was first assigned its partitions: the bench's clock starts there. */
final class AnnouncingClients extends DefaultKafkaClientFactory {
  private final AtomicInteger waiting;

  AnnouncingClients(int consumers) {
    waiting = new AtomicInteger(consumers);
  }

  @Override
  public Consumer<?, ?> getConsumer(Properties properties) {
    return new KafkaConsumer<>(properties) {
      private boolean isAssigned;

      @Override
      public void subscribe(Collection<String> topics, ConsumerRebalanceListener listener) {
        super.subscribe(topics, announcing(listener));
      }

      private ConsumerRebalanceListener announcing(ConsumerRebalanceListener listener) {
        return new ConsumerRebalanceListener() {
          @Override
          public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            if (!isAssigned && waiting.decrementAndGet() == 0)
              System.out.println("{\"assigned\":" + System.currentTimeMillis() + "}");
            isAssigned = true;
            listener.onPartitionsAssigned(partitions);
          }

          @Override
          public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            listener.onPartitionsRevoked(partitions);
          }
        };
      }
    };
  }
}
