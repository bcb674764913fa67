package urban.benchmark.streams;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.utils.Bytes;

/** A final row as the harness reads it. */
final class ResultJson {

  private static final JsonFactory JSON = new JsonFactory();
  private static final int USUAL_BYTES = 160;

  private ResultJson() {}

  static byte[] of(Bytes entity, long startMs, Statistics s) {
    ByteArrayOutputStream out = new ByteArrayOutputStream(USUAL_BYTES);
    try (JsonGenerator json = JSON.createGenerator(out)) {
      json.writeStartObject();
      json.writeStringField("entity_id", new String(entity.get(), StandardCharsets.UTF_8));
      json.writeNumberField("start_ms", startMs);
      json.writeNumberField("count", s.count());
      json.writeNumberField("sum", s.sum());
      json.writeNumberField("min", s.min());
      json.writeNumberField("max", s.max());
      json.writeNumberField("mean", s.mean());
      json.writeEndObject();
    } catch (IOException problem) {
      throw new UncheckedIOException(problem);
    }
    return out.toByteArray();
  }
}
