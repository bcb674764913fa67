"""ClickHouse's HTTP interface over the ClickHouse engine in one process (chDB), for any client."""
