"""Clusters in space and time that nobody asked for: Kulldorff's scan statistic over signals.

plan = ScanPlan(radius_m=1_500.0, bucket_ms=HOUR_MS, longest_buckets=6)
for cluster in find_clusters(latitude, longitude, time_ms, plan, numpy.random.Generator(...)):
    print(cluster.p_value, cluster.members)
"""

from services.core.scan.clusters import Chance, Cluster, find_clusters
from services.core.scan.finding import Finding, FindingState
from services.core.scan.lookout import Lookout, LookoutState
from services.core.scan.onsets import find_onsets
from services.core.scan.plan import ScanPlan, WatchPlan

__all__ = [
    "Chance",
    "Cluster",
    "Finding",
    "FindingState",
    "Lookout",
    "LookoutState",
    "ScanPlan",
    "WatchPlan",
    "find_clusters",
    "find_onsets",
]
