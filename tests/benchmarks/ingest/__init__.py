"""What the api role takes: callers, a real api process and real Kafka, until it is acknowledged."""
