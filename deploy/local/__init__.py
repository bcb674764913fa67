"""Apache Kafka and the ClickHouse engine on one machine, with nothing installed but Python packages."""
