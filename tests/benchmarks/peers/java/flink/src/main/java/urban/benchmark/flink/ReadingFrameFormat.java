package urban.benchmark.flink;

import java.util.List;
import java.util.Set;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.DynamicTableFactory;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;

/**
 * 'format' = 'reading-frame': every observation of a frame is a row of (entity id, time, value).
 *
 * <p>A format rather than a table function after the source: so the rows have their event time in the source itself,
 * where Flink keeps one watermark for each partition.
 */
public final class ReadingFrameFormat implements DeserializationFormatFactory {

  private static final List<LogicalTypeRoot> COLUMNS =
      List.of(
          LogicalTypeRoot.VARCHAR,
          LogicalTypeRoot.TIMESTAMP_WITH_LOCAL_TIME_ZONE,
          LogicalTypeRoot.DOUBLE);

  @Override
  public String factoryIdentifier() {
    return "reading-frame";
  }

  @Override
  public Set<ConfigOption<?>> requiredOptions() {
    return Set.of();
  }

  @Override
  public Set<ConfigOption<?>> optionalOptions() {
    return Set.of();
  }

  @Override
  public DecodingFormat<DeserializationSchema<RowData>> createDecodingFormat(
      DynamicTableFactory.Context context, ReadableConfig options) {
    return new DecodingFormat<>() {
      @Override
      public DeserializationSchema<RowData> createRuntimeDecoder(
          DynamicTableSource.Context source, DataType type) {
        List<LogicalTypeRoot> given =
            type.getLogicalType().getChildren().stream().map(t -> t.getTypeRoot()).toList();
        if (!given.equals(COLUMNS)) {
          throw new ValidationException("reading-frame has the columns " + COLUMNS + ", not " + given);
        }
        TypeInformation<RowData> rows = source.createTypeInformation(type);
        return new ReadingFrameRows(rows);
      }

      @Override
      public ChangelogMode getChangelogMode() {
        return ChangelogMode.insertOnly();
      }
    };
  }
}
