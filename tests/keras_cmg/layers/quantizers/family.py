"""The quantisers that the tests of the shared interface run over, small."""

from keras_cmg import layers

DIM = 4
FAMILY = {
    "BSQ": lambda **kwargs: layers.BSQ(num_bits=DIM, **kwargs),
    "Codebook": lambda **kwargs: layers.Codebook(8, DIM, initial_scale=1.0, **kwargs),
    "Codebook cosine": lambda **kwargs: layers.Codebook(8, DIM, similarity="cosine", **kwargs),
    "FSQ": lambda **kwargs: layers.FSQ((8, 5, 5, 5), **kwargs),
    "FSQ symmetric": lambda **kwargs: layers.FSQ((4, 2, 3, 5), symmetric=True, **kwargs),
    "GroupedQuantizer": lambda **kwargs: layers.GroupedQuantizer(
        layers.Codebook(4, DIM // 2, initial_scale=1.0), num_groups=2, **kwargs
    ),
    "GroupedQuantizer of residual": lambda **kwargs: layers.GroupedQuantizer(
        layers.ResidualQuantizer(layers.LearnedCodebook(4, DIM // 2, initial_scale=1.0), 2),
        num_groups=2,
        **kwargs,
    ),
    "LFQ": lambda **kwargs: layers.LFQ(num_bits=DIM, commitment_cost=0.25, **kwargs),
    "LearnedCodebook": lambda **kwargs: layers.LearnedCodebook(
        8, DIM, orthogonality_weight=0.1, initial_scale=1.0, **kwargs
    ),
    "LearnedCodebook diveq": lambda **kwargs: layers.LearnedCodebook(
        8, DIM, gradient="diveq", similarity="cosine", **kwargs
    ),
    "ProjectedQuantizer": lambda **kwargs: layers.ProjectedQuantizer(
        layers.FSQ((5, 5, 5)), embedding_dim=DIM, **kwargs
    ),
    "ResidualQuantizer": lambda **kwargs: layers.ResidualQuantizer(
        layers.Codebook(8, DIM, initial_scale=1.0), num_levels=3, min_levels=1, **kwargs
    ),
    "ResidualQuantizer beam": lambda **kwargs: layers.ResidualQuantizer(
        layers.SimVQ(8, DIM), num_levels=2, beam_size=3, gradient="rotation", **kwargs
    ),
    "ResidualQuantizer shared": lambda **kwargs: layers.ResidualQuantizer(
        layers.Codebook(8, DIM, initial_scale=1.0), num_levels=2, shared=True, **kwargs
    ),
    "ResidualQuantizer of signs": lambda **kwargs: layers.ResidualQuantizer(
        layers.LFQ(DIM), num_levels=2, input_bound=2.0, **kwargs
    ),
    "SimVQ": lambda **kwargs: layers.SimVQ(8, DIM, **kwargs),
}
LEARNS_NOTHING = ("FSQ", "FSQ symmetric", "LFQ", "BSQ", "ResidualQuantizer of signs")
