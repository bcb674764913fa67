"""ClickHouse's users: who may do what, from the catalogue, and the forms in which servers take it."""
