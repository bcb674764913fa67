package urban.benchmark.streams;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.google.protobuf.InvalidProtocolBufferException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Instant;
import java.time.LocalDate;
import org.apache.kafka.common.errors.SerializationException;
import urban.benchmark.v1.ReadingFrame;

/** A number at a moment; its entity is the key of the record. */
record Observation(long timeMs, double value) {

  private static final JsonFactory JSON = new JsonFactory();
  private static final int MILLIS_LENGTH = "2023-11-20T00:00:00.000Z".length();

  /** From a frame of one. */
  static Observation ofProtobuf(String topic, byte[] bytes) {
    ReadingFrame frame = parse(bytes);
    return new Observation(
        frame.getBaseTimeMs() + frame.getTimeOffsetMs(0), frame.getValue(0));
  }

  /** From {"entity_id": …, "time": RFC 3339, "value": …}. */
  static Observation ofJson(String topic, byte[] bytes) {
    long timeMs = 0;
    double value = 0.0;
    try (JsonParser parser = JSON.createParser(bytes)) {
      parser.nextToken();
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String field = parser.currentName();
        parser.nextToken();
        if (field.equals("time")) {
          timeMs =
              millis(
                  parser.getTextCharacters(), parser.getTextOffset(), parser.getTextLength());
        } else if (field.equals("value")) {
          value = parser.getDoubleValue();
        }
      }
    } catch (IOException problem) {
      throw new UncheckedIOException(problem);
    }
    return new Observation(timeMs, value);
  }

  static ReadingFrame parse(byte[] bytes) {
    try {
      return ReadingFrame.parseFrom(bytes);
    } catch (InvalidProtocolBufferException problem) {
      throw new SerializationException(problem);
    }
  }

  /** As Instant.parse has it, without its general formatter where milliseconds are told in UTC. */
  private static long millis(char[] text, int at, int length) {
    if (length != MILLIS_LENGTH || text[at + length - 1] != 'Z') {
      return Instant.parse(new String(text, at, length)).toEpochMilli();
    }
    long days =
        LocalDate.of(number(text, at, 4), number(text, at + 5, 2), number(text, at + 8, 2))
            .toEpochDay();
    long seconds =
        (days * 24 + number(text, at + 11, 2)) * 3600
            + number(text, at + 14, 2) * 60
            + number(text, at + 17, 2);
    return seconds * 1000 + number(text, at + 20, 3);
  }

  private static int number(char[] text, int at, int digits) {
    int found = 0;
    for (int i = at; i < at + digits; i++) {
      found = found * 10 + text[i] - '0';
    }
    return found;
  }
}
