"""What systems share that align modalities and keep the aligned features close to codes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any, ClassVar

from keras_cmg.models.base import terms
from keras_cmg.models.base.backbone import CrossModalBackbone
from keras_cmg.models.base.pretrainer import Pretrainer
from keras_cmg.models.base.sequence_backbone import SequenceBackbone
from keras_cmg.ops import quantization
from keras_cmg.types import Tensor


class AlignmentPretrainer(Pretrainer):
    """Trains a `SequenceBackbone`: terms that align modalities, and commitment to the codes.

    Subclasses list their own terms in `alignment_terms` and define each as a method `<term>_loss(x,
    features)`; `infonce_loss`, `commitment_loss` and the logs of the codes are here.

    Args:
        backbone: an instance of the class's `backbone_class`, or a tuple of modalities for the
            preset `"small"`.
        loss_weights: term to weight; 1 where none is given, 0 leaves a term out of the program.
        temperature: of contrastive terms, on cosine similarities.
        symmetric: contrastive terms in both directions.
        commitment_cost: weight within the commitment term, beta.
        cross_modal_commitment: see `keras_cmg.ops.commitment_loss`.
        **kwargs: the arguments of every Keras model.

    Raises:
        ValueError: for a single modality, unknown terms in `loss_weights`, or a temperature that
            is not positive.

    Example:

    >>> issubclass(keras_cmg.models.CMCM, keras_cmg.models.AlignmentPretrainer)
    True
    """

    backbone_class: ClassVar[type[CrossModalBackbone]] = SequenceBackbone
    alignment_terms: tuple[str, ...] = ("infonce",)

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
        if not isinstance(backbone, self.backbone_class):
            backbone = self.default_backbone(backbone)
        super().__init__(backbone, **kwargs)
        self.require_several_modalities()
        if temperature <= 0:
            raise ValueError(f"`temperature` must be positive. Received: {temperature}")
        self.temperature = temperature
        self.symmetric = symmetric
        self.commitment_cost = commitment_cost
        self.cross_modal_commitment = cross_modal_commitment
        self.weigh(self.term_names(), loss_weights)
        self.create_trackers()

    def term_names(self) -> tuple[str, ...]:
        """Names of all terms, for the modalities at hand."""
        return (*self.alignment_terms, "commitment")

    @property
    def log_keys(self) -> tuple[str, ...]:
        """The terms, and what tells how the codes are used."""
        return (*self.loss_names, "perplexity", "code_usage", "code_agreement")

    def pairs(self) -> list[tuple[str, str]]:
        """Pairs of modalities that are aligned.

        Returns:
            List of pairs, each once.

        Example:

        >>> keras_cmg.models.CMCM(("audio", "video", "text")).pairs()
        [('audio', 'video'), ('audio', 'text'), ('video', 'text')]
        """
        return list(combinations(self.backbone.modalities, 2))

    def general(self, features: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """The features that are quantised.

        Args:
            features: output of the model.

        Returns:
            Modality to `(batch, [frames,] dim)`.
        """
        return features[self.backbone.quantized_kind]

    def infonce_loss(self, x: Mapping[str, Any], features: Mapping[str, Any]) -> Tensor:
        """InfoNCE between the clips of each pair of modalities.

        Args:
            x: the batch.
            features: output of the model.

        Returns:
            Scalar, in nats, the sum over pairs.
        """
        return terms.infonce(
            self.general(features),
            self.pairs(),
            self.temperature,
            self.symmetric,
            self.backbone.frame_masks(x),
        )

    def commitment_loss(self, x: Mapping[str, Any], features: Mapping[str, Any]) -> Tensor:
        """Pulls features towards their codes (van den Oord et al., 2017, Eq. 3, third term).

        Args:
            x: the batch.
            features: output of the model.

        Returns:
            Scalar, the sum over modalities.
        """
        general = self.general(features)
        return sum(
            quantization.commitment_loss(
                general,
                features["codes"],
                self.commitment_cost,
                self.cross_modal_commitment,
                terms.level_weights(self.backbone.frame_masks(x), general),
            ).values()
        )

    def extra_logs(self, x, features):
        weights = terms.level_weights(self.backbone.frame_masks(x), self.general(features))
        return terms.code_logs(features["indices"], self.backbone.num_embeddings, weights)

    def get_config(self):
        names = "temperature symmetric commitment_cost cross_modal_commitment".split()
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "loss_weights": self.given_weights,
        }
