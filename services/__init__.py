"""The services of the city, what they share, and what people use them by."""

import os

# Read by numpy when it is imported. Nothing here multiplies matrices, and a thread that begins before the memory of the
# process is bounded (services/runtime/__init__.py) would keep it from being so.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
