"""The job that all engines are measured by: its observations, their encodings, and what the results must be."""
