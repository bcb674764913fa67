"""All input and output: Kafka, ClickHouse, gRPC, the processes."""

import os

from services.runtime.memory import hold_little

# Read by Arrow when it is imported, so before any module here does that. Its own pool, mimalloc, held 70 MB of which
# it used 2; the C library gives back what is free (services/runtime/memory.py).
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
# glibc looks at the number of heaps once, when the first thread asks for memory: Arrow begins one as it is imported.
hold_little()
