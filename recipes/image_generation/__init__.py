"""Image generators, and the layers from codes to their embeddings; used by `generation` only."""
