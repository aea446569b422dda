"""The only place that knows which engine runs: train steps, optimisers, sums over replicas."""
