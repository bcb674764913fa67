package urban.benchmark.flink;

import java.io.FileReader;
import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.TableResult;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;

/** Runs the statements of a file of SQL in a cluster of this one process, set by a file of properties. */
public final class Main {

  private Main() {}

  public static void main(String[] arguments) throws Exception {
    Configuration configuration = read(arguments[0]);
    int parallelism = Integer.parseInt(configuration.toMap().get("parallelism.default"));
    StreamExecutionEnvironment environment =
        StreamExecutionEnvironment.createLocalEnvironment(parallelism, configuration);
    StreamTableEnvironment tables = StreamTableEnvironment.create(environment);
    TableResult last = null;
    for (String statement : Files.readString(Path.of(arguments[1])).split(";\n")) {
      if (!statement.isBlank()) {
        last = tables.executeSql(statement);
        if (statement.stripLeading().startsWith("EXPLAIN")) {
          last.print();
        }
      }
    }
    if (last != null) {
      last.await();
    }
  }

  private static Configuration read(String path) throws IOException {
    Properties given = new Properties();
    try (Reader reader = new FileReader(path)) {
      given.load(reader);
    }
    Configuration configuration = new Configuration();
    given.stringPropertyNames().forEach(name -> configuration.setString(name, given.getProperty(name)));
    return configuration;
  }
}
