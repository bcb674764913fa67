package urban.benchmark.streams;

import java.time.Duration;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.EmitStrategy;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.Suppressed.BufferConfig;
import org.apache.kafka.streams.kstream.TimeWindowedKStream;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowBytesStoreSupplier;
import org.apache.kafka.streams.state.WindowStore;

/** The job: in the DSL with either way to final rows, or its windows by the Processor API. */
final class Job {

  private static final Duration WINDOW = Duration.ofSeconds(60);
  private static final Duration HOP = Duration.ofSeconds(10);
  private static final Duration DISORDER = Duration.ofSeconds(5);

  // Of panes: a window and its disorder after the last, and some more.
  private static final Duration RETENTION = Duration.ofSeconds(120);

  private Job() {}

  static void build(StreamsBuilder builder, Settings settings) {
    KStream<Bytes, byte[]> rows =
        settings.finals().equals("processor") ? byPanes(builder, settings) : byDsl(builder, settings);
    rows.to(settings.results(), Produced.with(Serdes.Bytes(), Serdes.ByteArray()));
  }

  private static KStream<Bytes, byte[]> byPanes(StreamsBuilder builder, Settings settings) {
    boolean inMemory = settings.store().equals("memory");
    WindowBytesStoreSupplier panes =
        inMemory
            ? Stores.inMemoryWindowStore(PaneWindows.PANES, RETENTION, HOP, false)
            : Stores.persistentWindowStore(PaneWindows.PANES, RETENTION, HOP, false);
    KeyValueBytesStoreSupplier progress =
        inMemory
            ? Stores.inMemoryKeyValueStore(PaneWindows.PROGRESS)
            : Stores.persistentKeyValueStore(PaneWindows.PROGRESS);
    StoreBuilder<WindowStore<Bytes, Statistics>> store =
        Stores.windowStoreBuilder(panes, Serdes.Bytes(), Statistics.serde());
    builder.addStateStore(settings.caching() ? store.withCachingEnabled() : store);
    builder.addStateStore(Stores.keyValueStoreBuilder(progress, Serdes.String(), Serdes.Long()));
    return values(builder, settings)
        .process(PaneWindows::new, PaneWindows.PANES, PaneWindows.PROGRESS);
  }

  private static KStream<Bytes, byte[]> byDsl(StreamsBuilder builder, Settings settings) {
    TimeWindowedKStream<Bytes, Double> windows =
        values(builder, settings)
            .groupByKey(Grouped.with("entity", Serdes.Bytes(), Serdes.Double()))
            .windowedBy(TimeWindows.ofSizeAndGrace(WINDOW, DISORDER).advanceBy(HOP));
    return finals(windows, settings)
        .toStream()
        .map((key, s) -> KeyValue.pair(key.key(), ResultJson.of(key.key(), key.window().start(), s)));
  }

  /** Numbers by entity, each at its own time. */
  private static KStream<Bytes, Double> values(StreamsBuilder builder, Settings settings) {
    if (settings.encoding().equals("frames")) {
      return builder.stream(settings.topic(), Consumed.with(Serdes.Bytes(), Serdes.ByteArray()))
          .process(FlattenFrame::new);
    }
    Deserializer<Observation> read =
        settings.encoding().equals("json") ? Observation::ofJson : Observation::ofProtobuf;
    Serde<Observation> serde = Serdes.serdeFrom((topic, value) -> null, read);
    return builder.stream(
            settings.topic(),
            Consumed.with(Serdes.Bytes(), serde)
                .withTimestampExtractor(
                    (record, before) -> ((Observation) record.value()).timeMs()))
        .mapValues(Observation::value);
  }

  private static KTable<Windowed<Bytes>, Statistics> finals(
      TimeWindowedKStream<Bytes, Double> windows, Settings settings) {
    Materialized<Bytes, Statistics, WindowStore<Bytes, byte[]>> store =
        Materialized.<Bytes, Statistics, WindowStore<Bytes, byte[]>>as("windows")
            .withKeySerde(Serdes.Bytes())
            .withValueSerde(Statistics.serde());
    store = settings.caching() ? store.withCachingEnabled() : store.withCachingDisabled();
    if (settings.finals().equals("suppress")) {
      return windows
          .aggregate(() -> Statistics.NONE, (key, value, s) -> s.with(value), store)
          .suppress(Suppressed.untilWindowCloses(BufferConfig.unbounded()));
    }
    return windows
        .emitStrategy(EmitStrategy.onWindowClose())
        .aggregate(
            () -> Statistics.NONE,
            (key, value, s) -> s.with(value),
            store.withRetention(settings.retention()));
  }
}
