"""The only package that knows which engine runs: train steps and sums over replicas."""
