"""What is unusual: one set of detectors for all domains, and one meaning of "unusual"."""

from services.core.anomaly.robust import MAD_TO_SIGMA, OUTLIER_Z, robust_z

__all__ = ["MAD_TO_SIGMA", "OUTLIER_Z", "robust_z"]
