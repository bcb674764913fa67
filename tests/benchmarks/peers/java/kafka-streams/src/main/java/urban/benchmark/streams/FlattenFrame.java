package urban.benchmark.streams;

import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import urban.benchmark.v1.ReadingFrame;

/** A frame as records of one observation each, keyed by entity, with the time of the observation. */
final class FlattenFrame implements Processor<Bytes, byte[], Bytes, Double> {

  private ProcessorContext<Bytes, Double> context;

  @Override
  public void init(ProcessorContext<Bytes, Double> given) {
    context = given;
  }

  @Override
  public void process(Record<Bytes, byte[]> record) {
    ReadingFrame frame = Observation.parse(record.value());
    Bytes[] ids = new Bytes[frame.getEntityIdsCount()];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = Bytes.wrap(frame.getEntityIdsBytes(i).toByteArray());
    }
    long baseMs = frame.getBaseTimeMs();
    for (int i = 0; i < frame.getEntityCount(); i++) {
      context.forward(
          new Record<>(
              ids[frame.getEntity(i)],
              (double) frame.getValue(i),
              baseMs + frame.getTimeOffsetMs(i)));
    }
  }
}
