package urban.benchmark.flink;

import java.io.IOException;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.util.Collector;
import urban.benchmark.v1.ReadingFrame;

/** Rows of (entity id, time, value) from a frame. */
final class ReadingFrameRows implements DeserializationSchema<RowData> {

  private static final long serialVersionUID = 1L;

  private final TypeInformation<RowData> rows;

  ReadingFrameRows(TypeInformation<RowData> rows) {
    this.rows = rows;
  }

  @Override
  public void deserialize(byte[] bytes, Collector<RowData> out) throws IOException {
    ReadingFrame frame = ReadingFrame.parseFrom(bytes);
    StringData[] ids = new StringData[frame.getEntityIdsCount()];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = StringData.fromBytes(frame.getEntityIdsBytes(i).toByteArray());
    }
    long baseMs = frame.getBaseTimeMs();
    for (int i = 0; i < frame.getEntityCount(); i++) {
      out.collect(
          GenericRowData.of(
              ids[frame.getEntity(i)],
              TimestampData.fromEpochMillis(baseMs + frame.getTimeOffsetMs(i)),
              (double) frame.getValue(i)));
    }
  }

  @Override
  public RowData deserialize(byte[] bytes) {
    throw new UnsupportedOperationException("a frame is many rows");
  }

  @Override
  public boolean isEndOfStream(RowData row) {
    return false;
  }

  @Override
  public TypeInformation<RowData> getProducedType() {
    return rows;
  }
}
