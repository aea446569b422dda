"""AHA (Wu et al., 2026): other modalities are anchored at the codes of sound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.layers.arguments import require_positive
from keras_cmg.layers.code_discriminator import CodeDiscriminator
from keras_cmg.layers.sequence_decoder import SequenceDecoder
from keras_cmg.models.aha import presets
from keras_cmg.models.aha.backbone import AHABackbone
from keras_cmg.models.base.adversarial_terms import adversarial_loss
from keras_cmg.models.base.feature_layers import feature_decoder
from keras_cmg.models.base.pretrainer import Pretrainer
from keras_cmg.models.base.registry import register_model
from keras_cmg.ops import sliding_alignment

ADVERSARIAL_WEIGHT = 0.1


@register_model("aha")
@keras.saving.register_keras_serializable("keras_cmg")
class AHA(Pretrainer):
    """Asymmetric Hierarchical Anchoring.

    No public code exists, and of the paper its abstract and summaries of it were at hand: sound has
    a hierarchy of residual codes whose first levels are the semantics that video is distilled into,
    the further ones its own; a classifier behind a gradient reversal takes the place of estimators
    of mutual information; frames are aligned within a window of an admissible radius. Terms, and
    what is our choice in each:

    - `reconstruction`: of each modality from shared codes and specific features; of the anchor from
      the codes of all levels. Ours: decoders as in DCID;
    - `commitment`: of each modality to the shared codes, of the anchor also to those of its own
      levels. Codes follow the anchor alone, by moving averages;
    - `alignment`: `keras_cmg.ops.sliding_info_nce` of the anchor's frames and the windows of each
      other modality. Ours: the most similar frame within the window counts, candidates are the
      windows at the same place of the other clips, and both sides have the gradient;
    - `distillation`: `keras_cmg.ops.sliding_distance` from the frames of each other modality to the
      anchor's codes, which have no gradient. Ours: the nearest code within the window is the
      target;
    - `adversarial_<modality>`: a `CodeDiscriminator` predicts the first shared code of a frame from
      its specific features, which train against it; weight 0.1, ours, as is that it also sees the
      anchor's own levels. The main optimiser trains the discriminator: there are no inner steps.

    Where another modality has other frames than the anchor, such as words, both are spread evenly
    over the clip, and the window holds at least the nearest frame.

    Args:
        backbone: an `AHABackbone`, or a tuple of modalities for that of the preset `"small"`.
        loss_weights: term to weight, default 1, of `adversarial_<modality>` 0.1; a term of weight 0
            is not computed.
        temperature: of the alignment, divides cosine similarities.
        symmetric: whether the alignment averages both directions.
        window_radius: of the window, in frames.
        commitment_cost: weight within the commitment term, beta.
        discriminator: arguments of `CodeDiscriminator`.
        decoder_channels: inner width of map decoders.
        pre_activation_skip: see `keras_cmg.layers.ResidualUnit`, for map decoders.
        **kwargs: the arguments of every Keras model.

    Call arguments:
        inputs: a batch, see `AHABackbone`.
        training: whether dropout is active and the codebooks are updated.

    Returns:
        The features of `AHABackbone`.

    Raises:
        ValueError: for a single modality, unknown terms, a temperature that is not positive, or a
            negative `window_radius`.

    Example:

    >>> model = keras_cmg.models.AHA.from_preset("small", modalities=("audio", "text"))
    >>> model.loss_names[:4]
    ('reconstruction', 'commitment', 'alignment', 'distillation')

    References:
        Wu et al. (2026), Asymmetric Hierarchical Anchoring for Audio-Visual Joint Representation:
        Resolving Information Allocation Ambiguity for Robust Cross-Modal Generalization.
    """

    backbone_class = AHABackbone
    presets = presets.PRESETS

    def __init__(
        self,
        backbone: Any,
        loss_weights: Mapping[str, float] | None = None,
        temperature: float = 0.1,
        symmetric: bool = True,
        window_radius: float = 1.0,
        commitment_cost: float = 0.25,
        discriminator: Mapping[str, Any] | None = None,
        decoder_channels: int = 1024,
        pre_activation_skip: bool = False,
        **kwargs,
    ):
        super().__init__(backbone, **kwargs)
        self.require_several_modalities()
        require_positive(temperature=temperature)
        if window_radius < 0:
            raise ValueError(f"`window_radius` must not be negative. Received: {window_radius}")
        self.temperature = temperature
        self.symmetric = symmetric
        self.window_radius = window_radius
        self.commitment_cost = commitment_cost
        self.discriminator = dict(discriminator or {})
        self.decoder_channels = decoder_channels
        self.pre_activation_skip = pre_activation_skip
        self.set_loss_weights(loss_weights)
        self.decoders: dict[str, Any] = {}
        self.discriminators: dict[str, CodeDiscriminator] = {}

    def default_loss_weights(self):
        terms = ("reconstruction", "commitment", "alignment", "distillation")
        adversarial = (f"adversarial_{name}" for name in self.backbone.modalities)
        return {**dict.fromkeys(terms, 1.0), **dict.fromkeys(adversarial, ADVERSARIAL_WEIGHT)}

    @property
    def log_keys(self) -> tuple[str, ...]:
        """Every logged key: terms, statistics of the codes, and what discriminators find."""
        found = (f"{n}_accuracy" for n in self.loss_names if n.startswith("adversarial_"))
        return (*super().log_keys, *found)

    def build_layers(self):
        backbone, dtype = self.backbone, self.dtype_policy
        for name in backbone.modalities:
            shape = backbone.feature_shapes[name]
            frames = (None, shape[1], backbone.embedding_dim)
            encoder = backbone.specific_encoders.get(name)
            specific = summary = frames
            if encoder is not None:
                specific, summary = (
                    encoder.compute_output_shape(shape),
                    encoder.summary_shape(shape),
                )
            if "reconstruction" in self.loss_names:
                decoder_name = f"{name}_decoder"
                if encoder is None:
                    decoder = SequenceDecoder(shape[-1], dtype=dtype, name=decoder_name)
                else:
                    widths = self.decoder_channels, self.pre_activation_skip
                    decoder = feature_decoder(shape, *widths, dtype=dtype, name=decoder_name)
                decoder.build(frames, specific)
                self.decoders[name] = decoder
            if f"adversarial_{name}" in self.loss_names:
                layer = CodeDiscriminator(
                    backbone.num_embeddings,
                    dtype=dtype,
                    name=f"{name}_discriminator",
                    **self.discriminator,
                )
                layer.build(summary)
                self.discriminators[name] = layer

    @property
    def replica_entries(self) -> tuple[str, ...]:  # type: ignore[override]
        """Beside the modalities, features that only decoders use."""
        return (*super().replica_entries, "specific")

    def others(self) -> list[str]:
        """Returns the modalities that are anchored.

        Returns:
            Names.

        Example:

        >>> keras_cmg.models.AHA(("audio", "video", "text")).others()
        ['video', 'text']
        """
        return [name for name in self.backbone.modalities if name != self.backbone.anchor]

    def reconstruction_loss(self, inputs):
        """Squared error of the features, from shared codes and specific features."""
        own = inputs.own
        codes, specific = own.features["quantized"], own.features["specific"]
        errors = [
            self.decoding_error(
                inputs, decoder, own.batch[m], (codes[m], specific[m]), own.masks.get(m)
            )
            for m, decoder in self.decoders.items()
        ]
        return sum(errors)

    def commitment_loss(self, inputs):
        """Distance of features from the shared codes, and of the anchor from its own levels'."""
        own = self.commitment_of(inputs, "residual", "residual_codes")
        return super().commitment_loss(inputs) + own

    def alignment_loss(self, inputs):
        """InfoNCE of the anchor's frames and the windows of the others, the sum over these."""
        general, anchor = inputs.features["general"], self.backbone.anchor
        losses = [
            sliding_alignment.sliding_info_nce(
                general[anchor],
                general[name],
                self.window_radius,
                self.temperature,
                self.symmetric,
                inputs.frame_weight_pair({anchor: general[anchor], name: general[name]}),
            )
            for name in self.others()
        ]
        return sum(losses)

    def distillation_loss(self, inputs):
        """Distance of the others' frames from the anchor's codes, the sum over these."""
        general, anchor = inputs.features["general"], self.backbone.anchor
        codes = ops.stop_gradient(inputs.features["codes"][anchor])
        losses = [
            sliding_alignment.sliding_distance(
                general[name],
                codes,
                self.window_radius,
                inputs.frame_weight_pair({name: general[name], anchor: codes}),
            )
            for name in self.others()
        ]
        return sum(losses)

    def term_loss(self, term, inputs):
        name = term.removeprefix("adversarial_")
        if name == term:
            return super().term_loss(term, inputs)
        loss, accuracy = adversarial_loss(
            self.discriminators[name],
            inputs.features["summary"][name],
            self.first_indices(inputs)[name],
            inputs.masks.get(name),
        )
        return loss, {f"{term}_accuracy": accuracy}

    def get_config(self):
        names = (
            "temperature symmetric window_radius commitment_cost discriminator decoder_channels "
            "pre_activation_skip"
        ).split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
