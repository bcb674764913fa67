package urban.benchmark.streams;

import java.io.FileReader;
import java.io.IOException;
import java.io.Reader;
import java.time.Duration;
import java.util.Properties;

/** What a run is told, from a file of properties; those of Kafka Streams begin with "streams.". */
record Settings(
    String topic,
    String results,
    String encoding,
    String store,
    boolean caching,
    String finals,
    Duration retention,
    Properties streams) {

  private static final String STREAMS = "streams.";

  static Settings read(String path) throws IOException {
    Properties given = new Properties();
    try (Reader reader = new FileReader(path)) {
      given.load(reader);
    }
    Properties streams = new Properties();
    for (String name : given.stringPropertyNames()) {
      if (name.startsWith(STREAMS)) {
        streams.put(name.substring(STREAMS.length()), given.getProperty(name));
      }
    }
    return new Settings(
        given.getProperty("topic"),
        given.getProperty("results"),
        given.getProperty("encoding"),
        given.getProperty("store"),
        Boolean.parseBoolean(given.getProperty("caching")),
        given.getProperty("finals"),
        Duration.ofSeconds(Long.parseLong(given.getProperty("retention_s"))),
        streams);
  }
}
