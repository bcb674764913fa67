package urban.benchmark.streams;

import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.WindowStore;

/**
 * The windows of the job by the Processor API: one update of a pane of 10 s for each observation, and each window from
 * its six panes when it closes.
 *
 * <p>A processor needs no repartition topic, and an observation is folded once rather than into six windows.
 */
final class PaneWindows implements Processor<Bytes, Double, Bytes, byte[]> {

  static final String PANES = "panes";
  static final String PROGRESS = "progress";
  static final long PANE_MS = 10_000;
  static final long WINDOW_MS = 60_000;
  private static final long DISORDER_MS = 5_000;
  private static final String NEXT_END = "next end";

  private ProcessorContext<Bytes, byte[]> context;
  private WindowStore<Bytes, Statistics> panes;
  private KeyValueStore<String, Long> progress;
  private Long nextEndMs; // of the first window that is not yet told
  private long latestMs = Long.MIN_VALUE;

  @Override
  public void init(ProcessorContext<Bytes, byte[]> given) {
    context = given;
    panes = given.getStateStore(PANES);
    progress = given.getStateStore(PROGRESS);
    nextEndMs = progress.get(NEXT_END);
  }

  @Override
  public void process(Record<Bytes, Double> record) {
    long timeMs = record.timestamp();
    if (timeMs > latestMs) {
      latestMs = timeMs;
      closeUntil(latestMs - DISORDER_MS);
    }
    long paneMs = timeMs - timeMs % PANE_MS;
    if (paneMs + WINDOW_MS < nextEndMs) {
      return; // late: all its windows are told
    }
    Statistics before = panes.fetch(record.key(), paneMs);
    panes.put(
        record.key(), (before == null ? Statistics.NONE : before).with(record.value()), paneMs);
  }

  private void closeUntil(long closedMs) {
    if (nextEndMs == null) {
      nextEndMs = closedMs - closedMs % PANE_MS + PANE_MS;
    }
    if (nextEndMs > closedMs) {
      return;
    }
    for (; nextEndMs <= closedMs; nextEndMs += PANE_MS) {
      tell(nextEndMs);
    }
    progress.put(NEXT_END, nextEndMs);
  }

  private void tell(long endMs) {
    long startMs = endMs - WINDOW_MS;
    Map<Bytes, Statistics> whole = new HashMap<>();
    try (KeyValueIterator<Windowed<Bytes>, Statistics> found =
        panes.fetchAll(startMs, endMs - PANE_MS)) {
      while (found.hasNext()) {
        KeyValue<Windowed<Bytes>, Statistics> pane = found.next();
        whole.merge(pane.key.key(), pane.value, Statistics::and);
      }
    }
    whole.forEach(
        (entity, s) ->
            context.forward(new Record<>(entity, ResultJson.of(entity, startMs, s), endMs - 1)));
  }
}
