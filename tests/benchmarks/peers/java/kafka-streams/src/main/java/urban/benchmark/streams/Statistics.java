package urban.benchmark.streams;

import java.nio.ByteBuffer;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;

/** What is known of one entity in one window. */
record Statistics(long count, double sum, double min, double max) {

  static final Statistics NONE =
      new Statistics(0, 0.0, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY);

  private static final int BYTES = Long.BYTES + 3 * Double.BYTES;

  Statistics with(double value) {
    return new Statistics(count + 1, sum + value, Math.min(min, value), Math.max(max, value));
  }

  Statistics and(Statistics other) {
    return new Statistics(
        count + other.count, sum + other.sum, Math.min(min, other.min), Math.max(max, other.max));
  }

  double mean() {
    return sum / count;
  }

  static Serde<Statistics> serde() {
    Serializer<Statistics> write =
        (topic, s) ->
            s == null
                ? null
                : ByteBuffer.allocate(BYTES)
                    .putLong(s.count)
                    .putDouble(s.sum)
                    .putDouble(s.min)
                    .putDouble(s.max)
                    .array();
    Deserializer<Statistics> read =
        (topic, bytes) -> {
          if (bytes == null) {
            return null;
          }
          ByteBuffer from = ByteBuffer.wrap(bytes);
          return new Statistics(
              from.getLong(), from.getDouble(), from.getDouble(), from.getDouble());
        };
    return Serdes.serdeFrom(write, read);
  }
}
