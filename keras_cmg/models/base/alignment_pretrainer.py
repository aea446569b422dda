"""Pretrainer of systems that align modalities by contrast and commit features to codes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any, ClassVar

from keras_cmg.layers.arguments import require_positive
from keras_cmg.models.base.backbone import Backbone
from keras_cmg.models.base.pretrainer import Pretrainer
from keras_cmg.models.base.sequence_backbone import SequenceBackbone
from keras_cmg.types import Tensor


class AlignmentPretrainer(Pretrainer):
    """Trains a `SequenceBackbone` down terms that align modalities, and commitment to the codes.

    Subclasses name their own terms in `alignment_terms` and define each as a method
    `<term>_loss(inputs)`; `infonce_loss` and `commitment_loss` are inherited.

    Args:
        backbone: an instance of the class's `backbone_class`, or a tuple of modalities for that of
            the preset `default_preset`.
        loss_weights: term to weight, default 1; a term of weight 0 is not computed.
        temperature: of contrastive terms, which divides cosine similarities.
        symmetric: whether contrastive terms average both directions.
        commitment_cost: weight within the commitment term, beta.
        cross_modal_commitment: see `keras_cmg.ops.commitment_loss`.
        **kwargs: `frozen_layers`, see `Pretrainer`, and the arguments of every Keras model.

    Raises:
        ValueError: for a single modality, unknown terms in `loss_weights`, or a temperature that
            is not positive.

    Example:

    >>> issubclass(keras_cmg.models.CMCM, keras_cmg.models.AlignmentPretrainer)
    True
    """

    backbone_class: ClassVar[type[Backbone]] = SequenceBackbone
    alignment_terms: ClassVar[tuple[str, ...]] = ("infonce",)
    """Names of the terms beside `commitment`."""

    def __init__(
        self,
        backbone: Any,
        loss_weights: Mapping[str, float] | None = None,
        temperature: float = 0.1,
        symmetric: bool = True,
        commitment_cost: float = 0.25,
        cross_modal_commitment: bool = False,
        **kwargs,
    ):
        super().__init__(backbone, **kwargs)
        self.require_several_modalities()
        require_positive(temperature=temperature)
        self.temperature = temperature
        self.symmetric = symmetric
        self.commitment_cost = commitment_cost
        self.cross_modal_commitment = cross_modal_commitment
        self.set_loss_weights(loss_weights)

    def default_loss_weights(self):
        return dict.fromkeys((*self.alignment_terms, "commitment"), 1.0)

    def pairs(self) -> list[tuple[str, str]]:
        """Returns the pairs of modalities that are aligned.

        Returns:
            List of pairs, each once.

        Example:

        >>> keras_cmg.models.CMCM(("audio", "video", "text")).pairs()
        [('audio', 'video'), ('audio', 'text'), ('video', 'text')]
        """
        return list(combinations(self.backbone.modalities, 2))

    def infonce_loss(self, inputs) -> Tensor:
        """Computes InfoNCE between the clips of each pair of modalities.

        Args:
            inputs: of the step.

        Returns:
            Scalar, in nats, the sum over pairs.
        """
        features = inputs.features[self.backbone.quantized_kind]
        return self.pair_infonce(inputs, features, self.pairs(), self.temperature, self.symmetric)

    def get_config(self):
        names = "temperature symmetric commitment_cost cross_modal_commitment".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
