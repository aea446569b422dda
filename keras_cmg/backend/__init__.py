"""Train steps and communication between replicas, one module per engine."""
