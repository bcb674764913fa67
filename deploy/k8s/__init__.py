"""Kubernetes: manifests by hand, and those made from the catalogue (`make manifests`)."""
