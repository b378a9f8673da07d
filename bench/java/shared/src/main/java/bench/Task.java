package bench;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import java.util.List;

/** What every contender is given: see bench/contenders/contender.ts. */
@JsonIgnoreProperties(ignoreUnknown = true)
record Task(
    List<String> brokers,
    String topic,
    String groupId,
    String clientId,
    int sessionTimeoutMs,
    int batch,
    int maxWaitMs,
    int consumers,
    List<String> environments) {}
