package urban.benchmark.streams;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.TopologyConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/** Runs the job until it is ended by SIGTERM. */
public final class Main {

  private Main() {}

  public static void main(String[] arguments) throws Exception {
    Settings settings = Settings.read(arguments[0]);
    StreamsConfig config = new StreamsConfig(settings.streams());
    StreamsBuilder builder = new StreamsBuilder(new TopologyConfig(config));
    Job.build(builder, settings);
    Topology topology = builder.build(settings.streams());
    System.out.println(topology.describe());
    KafkaStreams streams = new KafkaStreams(topology, settings.streams());
    CountDownLatch ended = new CountDownLatch(1);
    streams.setUncaughtExceptionHandler(
        problem -> {
          problem.printStackTrace();
          return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
    streams.setStateListener(
        (now, before) -> {
          if (now == KafkaStreams.State.ERROR) {
            Runtime.getRuntime().halt(1);
          }
        });
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  streams.close(Duration.ofSeconds(20));
                  ended.countDown();
                }));
    streams.start();
    ended.await();
  }
}
