"""What puts Urban Brain onto machines: one laptop (`deploy.local`) or a cluster (the manifests beside it)."""
