"""FCID: reconstruction, alignment and disentangling of fine and coarse features."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any, ClassVar

import keras
from keras import ops

from keras_cmg.callbacks.kmeans_codebook_init import KMeansCodebookInit
from keras_cmg.layers.arguments import require_positive
from keras_cmg.layers.code_discriminator import CodeDiscriminator
from keras_cmg.layers.cpc_predictor import CPCPredictor
from keras_cmg.layers.quantizers.aligned_codebook import AlignedCodebook
from keras_cmg.layers.quantizers.quantizer import Quantizer
from keras_cmg.layers.sequence_decoder import SequenceDecoder
from keras_cmg.models.base import masked_terms
from keras_cmg.models.base.adversarial_terms import adversarial_loss
from keras_cmg.models.base.configs import serialize_layers
from keras_cmg.models.base.feature_layers import feature_decoder
from keras_cmg.models.base.pretrainer import Pretrainer
from keras_cmg.models.base.registry import register_model
from keras_cmg.models.fcid import presets
from keras_cmg.models.fcid.backbone import FCIDBackbone
from keras_cmg.ops import code_prediction, contrastive, sliding_alignment

INFONCE_PAIRS = ("coarse", "all")
OF_MICU = ("masked_frame_infonce", "masked_clip_infonce", "jigsaw")
"""Terms of another system."""
DISENTANGLING = ("club", "adversarial")
ADVERSARIAL_WEIGHT = 0.1


@register_model("fcid")
@keras.saving.register_keras_serializable("keras_cmg")
class FCID(Pretrainer):
    """Fine and Coarse cross-modal Information Disentangling.

    The loss is the weighted sum of the terms in `loss_names` (the paper's Eq. 19):
    `fine_reconstruction`, `coarse_reconstruction`, `commitment`, `cpc` and `infonce` align;
    `club_<modality>` and `club_<group>` disentangle, with estimators trained in
    `estimator_steps` steps of their own per step. Additions: `code_matching` of the authors' code;
    `segment_infonce`, InfoNCE of the fine modalities in each segment; `code_prediction`, in which
    each modality predicts the balanced assignment of the others to codes (Caron et al., 2020); and
    of MICU `masked_frame_infonce` and `masked_clip_infonce`, of the fine modalities' features in
    time, and `jigsaw`, of codes. With fewer modalities the terms that apply to them are used; one
    modality alone gives a VQVAE over segments.

    Args:
        backbone: an `FCIDBackbone`, or a tuple of modalities for that of the preset `"small"`.
        loss_weights: term to weight. By default 1, but 0 of the additions, and the two arguments
            below of CLUB's terms. A term of weight 0 is not computed. With `disentangle=False` in
            the backbone there are no terms of CLUB and of reconstruction.
        commitment_cost: the paper's beta.
        cross_modal_commitment: see `keras_cmg.ops.commitment_loss`.
        infonce_temperature: the paper's tau, of all terms of InfoNCE.
        infonce_symmetric: both directions, of both terms.
        segment_window_radius: frames by which `segment_infonce` may be out of step, see
            `keras_cmg.ops.sliding_info_nce`; 0 for the same frame alone.
        prediction_temperature: of the softmax over codes that `code_prediction` trains.
        assignment_temperature: of the balanced assignments that it predicts.
        infonce_pairs: `"coarse"`, each fine modality with each coarse one; `"all"`, every pair.
        code_matching_kind: see `keras_cmg.ops.code_matching_loss`.
        disentangling: `"club"`; or `"adversarial"`, as in `AHA`: in place of each `club_<name>` an
            `adversarial_<name>` of weight 0.1, in which a `CodeDiscriminator` predicts the codes
            from the same specific features, which train against it.
        discriminator: arguments of `CodeDiscriminator`.
        club: arguments of `CLUBEstimator`.
        coarse_club_weight: weight of the CLUB terms of the coarse level where `loss_weights` gives
            none. Eq. 12 sums over all features; with weight 1 that sum outweighs InfoNCE and the
            general features collapse to a constant. `1/embedding_dim` makes it a mean.
        fine_club_weight: the same for the CLUB terms of the fine modalities' features in time.
        cpc: arguments of `CPCPredictor`.
        cpc_self_weight: weight of self-predictions; cross-modal ones weigh 1.
        cpc_candidates: see `keras_cmg.ops.cpc_loss`.
        cpc_first_frame: earliest frame that may be the last observed one.
        decoder_channels: inner width of map decoders.
        pre_activation_skip: see `keras_cmg.layers.ResidualUnit`, for map decoders.
        detach_coarse_targets: no gradient into the targets of the coarse reconstruction.
        mask_ratio: share of frames that the masked terms mask, or modality to share.
        jigsaw: arguments of `JigsawClassifier`.
        decoders: modality to Keras layer that replaces its fine decoder: takes
            `(general, specific)`, returns the modality's features.
        estimator_steps: steps of the estimators per step, the K of the training loop.
        codebook_init_step: training step, from 0, before which `fit` places the codes by k-means on
            the features of its data, see `keras_cmg.callbacks.KMeansCodebookInit`; None for never.
            Without effect for quantisers that store no codes.
        **kwargs: the arguments of every Keras model.

    Call arguments:
        inputs: a batch, see `FCIDBackbone`; an optional entry `"draws"` replaces random draws:
            `"cpc_time"`, an int scalar, `"club_<name>"`, permutations, and those of `MICU`.
        training: whether dropout is active and the codebook is updated.

    Returns:
        The features of `FCIDBackbone`.

    Raises:
        ValueError: for unknown terms in `loss_weights`, an unknown value of an argument, or fine
            modalities of different numbers of frames where their segments share an estimator.

    Example:

    >>> model = keras_cmg.models.FCID.from_preset("small", modalities=("audio", "text"))
    >>> model.compile(keras.optimizers.Adam(4e-4), keras.optimizers.Adam(1e-3))
    >>> batch = {"audio": np.zeros((4, 10, 128)), "text": np.zeros((4, 7, 64))}
    >>> history = model.fit(batch, epochs=1, verbose=0)
    >>> sorted(model.loss_names)[:2]
    ['club_audio', 'club_coarse_audio']

    References:
        Huang et al. (2025), Enhancing Multimodal Unified Representations for Cross Modal
        Generalization, Eqs. 5-19.
    """

    backbone_class = FCIDBackbone
    presets = presets.PRESETS
    default_preset = "plus"
    optional_terms = (
        "fine_reconstruction",
        "coarse_reconstruction",
        "commitment",
        "cpc",
        "infonce",
        "segment_infonce",
        "code_matching",
        "code_prediction",
        *OF_MICU,
    )
    layer_arguments: ClassVar[tuple[str, ...]] = ("backbone", "decoders")

    def __init__(
        self,
        backbone: FCIDBackbone | tuple[str, ...],
        loss_weights: Mapping[str, float] | None = None,
        commitment_cost: float = 0.25,
        cross_modal_commitment: bool = False,
        infonce_temperature: float = 1.0,
        infonce_symmetric: bool = False,
        segment_window_radius: float = 0.0,
        infonce_pairs: str = "coarse",
        prediction_temperature: float = 0.1,
        assignment_temperature: float = 0.05,
        code_matching_kind: str = "symmetric",
        disentangling: str = "club",
        discriminator: Mapping[str, Any] | None = None,
        club: Mapping[str, Any] | None = None,
        coarse_club_weight: float = 1.0,
        fine_club_weight: float = 1.0,
        cpc: Mapping[str, Any] | None = None,
        cpc_self_weight: float = 0.0,
        cpc_candidates: str = "targets",
        cpc_first_frame: int = 0,
        decoder_channels: int = 1024,
        pre_activation_skip: bool = False,
        detach_coarse_targets: bool = False,
        mask_ratio: masked_terms.MaskRatio = 0.3,
        jigsaw: Mapping[str, Any] | None = None,
        decoders: Mapping[str, keras.Layer] | None = None,
        estimator_steps: int = 5,
        codebook_init_step: int | None = None,
        **kwargs,
    ):
        super().__init__(backbone, **kwargs)
        if infonce_pairs not in INFONCE_PAIRS:
            raise ValueError(
                f"`infonce_pairs` must be one of {INFONCE_PAIRS}. Received: {infonce_pairs!r}"
            )
        if disentangling not in DISENTANGLING:
            raise ValueError(
                f"`disentangling` must be one of {DISENTANGLING}. Received: {disentangling!r}"
            )
        if segment_window_radius < 0:
            raise ValueError(
                f"`segment_window_radius` must not be negative. Received: {segment_window_radius}"
            )
        require_positive(
            prediction_temperature=prediction_temperature,
            assignment_temperature=assignment_temperature,
        )
        if estimator_steps < 1:
            raise ValueError(f"`estimator_steps` must be at least 1. Received: {estimator_steps}")
        if codebook_init_step is not None and codebook_init_step < 0:
            raise ValueError(
                "`codebook_init_step` must be a step from 0 on, or None. "
                f"Received: {codebook_init_step}"
            )
        self.codebook_init_step = codebook_init_step
        self.commitment_cost = commitment_cost
        self.cross_modal_commitment = cross_modal_commitment
        self.infonce_temperature = infonce_temperature
        self.infonce_symmetric = infonce_symmetric
        self.segment_window_radius = segment_window_radius
        self.infonce_pairs = infonce_pairs
        self.prediction_temperature = prediction_temperature
        self.assignment_temperature = assignment_temperature
        self.code_matching_kind = code_matching_kind
        self.disentangling = disentangling
        self.discriminator = dict(discriminator or {})
        self.club = dict(club or {})
        self.coarse_club_weight = coarse_club_weight
        self.fine_club_weight = fine_club_weight
        self.cpc = dict(cpc or {})
        self.cpc_self_weight = cpc_self_weight
        self.cpc_candidates = cpc_candidates
        self.cpc_first_frame = cpc_first_frame
        self.decoder_channels = decoder_channels
        self.pre_activation_skip = pre_activation_skip
        self.detach_coarse_targets = detach_coarse_targets
        masked_terms.check_mask_ratio(mask_ratio, self.backbone.fine)
        self.mask_ratio = mask_ratio
        self.jigsaw = dict(jigsaw or {})
        self.decoders = dict(decoders or {})
        self.backbone.check_names(decoders=self.decoders)
        self.estimator_steps = estimator_steps
        self.set_loss_weights(loss_weights)
        if not self.loss_names:
            raise ValueError(
                "`loss_weights` must leave at least one term with a weight for modalities "
                f"{self.backbone.modalities}; one modality alone has terms in the preset 'small'. "
                f"Received: {loss_weights}"
            )
        if "cpc" in self.loss_names:
            self.cpc_predictor = CPCPredictor(dtype=self.dtype_policy, name="cpc", **self.cpc)
        if "jigsaw" in self.loss_names:
            self.jigsaw_classifier = masked_terms.jigsaw_classifier(self.dtype_policy, self.jigsaw)
        self.set_estimators(self.club)
        self.fine_decoders: dict[str, Any] = {}
        self.coarse_decoders: dict[str, Any] = {}
        self.discriminators: dict[str, CodeDiscriminator] = {}

    # Terms.

    def default_loss_weights(self):
        fine, modalities = self.backbone.fine, self.backbone.modalities
        groups = self.backbone.coarse_level.groups
        applies = {
            "fine_reconstruction": self.backbone.disentangle and bool(fine),
            "coarse_reconstruction": self.backbone.disentangle,
            "commitment": True,
            "cpc": len(fine) > 1,
            "infonce": bool(self._aligned_pairs()),
            "segment_infonce": len(fine) > 1,
            "code_matching": len(modalities) > 1,
            "code_prediction": len(modalities) > 1,
            "masked_frame_infonce": len(fine) > 1,
            "masked_clip_infonce": len(fine) > 1,
            "jigsaw": len(modalities) > 1,
        }
        off = ("segment_infonce", "code_matching", "code_prediction", *OF_MICU)
        weights = {term: float(term not in off) for term, there in applies.items() if there}
        if not self.backbone.disentangle:
            return weights
        clubs = {f"club_{name}": self.fine_club_weight for name in fine}
        if len(modalities) > 1:
            clubs |= {f"club_{group}": self.coarse_club_weight for group in groups}
        if self.disentangling == "adversarial":
            names = (term.removeprefix("club_") for term in clubs)
            clubs = {f"adversarial_{name}": ADVERSARIAL_WEIGHT for name in names}
        return {**weights, **clubs}

    def _aligned_pairs(self) -> list[tuple[str, str]]:
        pairs = []
        for a, b in combinations(self.backbone.modalities, 2):
            if a not in self.backbone.fine:
                a, b = b, a
            if self.infonce_pairs == "all" or (a in self.backbone.fine) != (
                b in self.backbone.fine
            ):
                pairs.append((a, b))
        return pairs

    @property
    def log_keys(self) -> tuple[str, ...]:
        """Every logged key: the terms, statistics of the codes, fit of estimators, CPC, puzzles."""
        fine = self.backbone.fine if "cpc" in self.loss_names else ()
        puzzles = ("jigsaw_accuracy",) if "jigsaw" in self.loss_names else ()
        pairs = (f"cpc_accuracy_{a}_{b}" for a in fine for b in fine)
        found = (f"{n}_accuracy" for n in self.loss_names if n.startswith("adversarial_"))
        return (*super().log_keys, *pairs, *puzzles, *found)

    # Layers.

    def build_layers(self):
        backbone, dim = self.backbone, self.backbone.embedding_dim
        self._check_frames(backbone.feature_shapes)
        for name in backbone.fine if "fine_reconstruction" in self.loss_names else ():
            shape = backbone.feature_shapes[name]
            decoder = self.decoders.get(name) or feature_decoder(
                shape,
                self.decoder_channels,
                self.pre_activation_skip,
                dtype=self.dtype_policy,
                name=f"{name}_decoder",
            )
            self.fine_decoders[name] = decoder
            if not decoder.built:
                specific = backbone.fine_specific_encoders[name].compute_output_shape(shape)
                decoder.build((*shape[:2], dim), specific)
        for name in backbone.modalities if "coarse_reconstruction" in self.loss_names else ():
            decoder = SequenceDecoder(dim, dtype=self.dtype_policy, name=f"{name}_coarse_decoder")
            shape = self._coarse_shape(name)
            decoder.build((*shape[:-1], backbone.code_dim), shape)
            self.coarse_decoders[name] = decoder
        if "cpc" in self.loss_names:
            shapes = {m: (None, backbone.feature_shapes[m][1], dim) for m in backbone.fine}
            self.cpc_predictor.build(shapes)
        if "jigsaw" in self.loss_names:
            shapes = dict.fromkeys(backbone.modalities, (None, None, backbone.code_dim))
            self.jigsaw_classifier.build(shapes)
        for term, estimator in self.estimators.items():
            if not estimator.built:
                estimator.build(*self._disentangled_shapes(term.removeprefix("club_")))
        for term in self.loss_names:
            name = term.removeprefix("adversarial_")
            if name != term:
                layer = CodeDiscriminator(
                    backbone.num_embeddings,
                    dtype=self.dtype_policy,
                    name=f"{name}_discriminator",
                    **self.discriminator,
                )
                layer.build(self._disentangled_shapes(name)[1])
                self.discriminators[term] = layer

    def _disentangled_shapes(self, name):
        """Shapes of the general and specific features of a fine modality or a coarse group."""
        backbone = self.backbone
        if name in backbone.fine:
            shape = backbone.feature_shapes[name]
            summary = backbone.fine_specific_encoders[name].summary_shape(shape)
            return (None, None, backbone.embedding_dim), (None, *summary[1:])
        shape = self._coarse_shape(backbone.coarse_level.groups[name][0])
        return shape, shape

    def _coarse_shape(self, name):
        dim = self.backbone.embedding_dim
        return (None, None, dim) if self.backbone.trained_level(name) == "segment" else (None, dim)

    def _check_frames(self, shapes):
        """One estimator compares the segments of all fine modalities, stacked along the batch."""
        fine, level = self.backbone.fine, self.backbone.coarse_level
        shared = len(fine) > 1 and f"club_{level.group_of(fine[0])}" in self.estimators
        frames = {name: shapes[name][1] for name in fine}
        if shared and level.keeps_frames(fine[0]) and len(set(frames.values()) - {None}) > 1:
            raise ValueError(
                "With `quantize_level='segment'` the fine modalities must have the same number of "
                f"frames, or `loss_weights` must be 0 for 'club_{level.group_of(fine[0])}'. "
                f"Received frames: {frames}"
            )

    @property
    def replica_entries(self) -> tuple[str, ...]:  # type: ignore[override]
        """Beside the modalities, features that only decoders use."""
        return (*super().replica_entries, "fine_specific")

    # Losses.

    def estimator_pairs(self, inputs):
        features, backbone = inputs.features, self.backbone
        if self.estimators:
            self._check_frames({m: features["fine_general"][m].shape for m in backbone.fine})
        pairs = {}
        for term in self.estimators:
            kinds, members = self._disentangled(term.removeprefix("club_"))
            general, specific = ({m: features[kind][m] for m in members} for kind in kinds)
            pairs[term] = (
                inputs.stack(general),
                inputs.stack(specific),
                inputs.stacked_weights(general),
            )
        return pairs

    def _disentangled(self, name):
        """Kinds of general and specific features, and the modalities that share them."""
        if name in self.backbone.fine:
            return ("fine_general", "fine_summary"), (name,)
        return ("coarse_general", "coarse_specific"), self.backbone.coarse_level.groups[name]

    def term_loss(self, term, inputs):
        if term not in self.discriminators:
            return super().term_loss(term, inputs)
        (_, kind), members = self._disentangled(term.removeprefix("adversarial_"))
        specific = {m: inputs.features[kind][m] for m in members}
        indices = self.first_indices(inputs)
        loss, accuracy = adversarial_loss(
            self.discriminators[term],
            inputs.stack(specific),
            inputs.stack({m: indices[m] for m in members}),
            inputs.stacked_weights(specific),
        )
        return loss, {f"{term}_accuracy": accuracy}

    def fine_reconstruction_loss(self, inputs):
        """Squared error of the fine modalities' features, from their general and specific ones."""
        own = inputs.own
        general, specific = own.features["fine_general"], own.features["fine_specific"]
        return sum(
            self.decoding_error(
                inputs, decoder, own.batch[m], (general[m], specific[m]), own.masks.get(m)
            )
            for m, decoder in self.fine_decoders.items()
        )

    def coarse_reconstruction_loss(self, inputs):
        """Squared error of projected features, from codes and coarse specific features."""
        features = inputs.features
        weights = inputs.weights(features["projected"])
        errors = []
        for name, decoder in self.coarse_decoders.items():
            target = features["projected"][name]
            if self.detach_coarse_targets:
                target = ops.stop_gradient(target)
            rebuilt = decoder(features["quantized"][name], features["coarse_specific"][name])
            errors.append(self.squared_error(target, rebuilt, weights.get(name)))
        return sum(errors)

    def cpc_features(self, inputs):
        return {name: inputs.features["fine_general"][name] for name in self.backbone.fine}

    def infonce_loss(self, inputs):
        """InfoNCE between clips in the coarse space (Eq. 10)."""
        return self.pair_infonce(
            inputs,
            inputs.features["coarse_general"],
            self._aligned_pairs(),
            self.infonce_temperature,
            self.infonce_symmetric,
        )

    def segment_infonce_loss(self, inputs):
        """InfoNCE between the fine modalities in each segment, or in a window around it."""
        if self.segment_window_radius:
            general = inputs.features["fine_general"]
            return sum(
                sliding_alignment.sliding_info_nce(
                    general[a],
                    general[b],
                    self.segment_window_radius,
                    self.infonce_temperature,
                    self.infonce_symmetric,
                    inputs.frame_weight_pair({a: general[a], b: general[b]}),
                )
                for a, b in combinations(self.backbone.fine, 2)
            )
        return self.pair_infonce(
            inputs,
            inputs.features["fine_general"],
            combinations(self.backbone.fine, 2),
            self.infonce_temperature,
            self.infonce_symmetric,
            level="segment",
        )

    def masked_frame_infonce_loss(self, inputs):
        """InfoNCE from masked to complete features among the frames of each clip, as in MICU."""
        return self._masked_infonce(inputs, "frame")

    def masked_clip_infonce_loss(self, inputs):
        """InfoNCE from masked to complete features in time among clips, as in MICU."""
        return self._masked_infonce(inputs, "clip")

    def _masked_infonce(self, inputs, level):
        fine = {m: inputs.features["fine_general"][m] for m in self.backbone.fine}
        return masked_terms.masked_infonce(
            inputs, fine, self.mask_ratio, self.infonce_temperature, level
        )

    def jigsaw_loss(self, inputs):
        """Cross-entropy of the order of pieces of codes, as in MICU.

        Of clips, where some modalities are quantised by clip.
        """
        codes = inputs.features["quantized"]
        if len({len(x.shape) for x in codes.values()}) > 1:
            codes = inputs.clip_features(codes)
        loss, accuracy = masked_terms.jigsaw_loss(inputs, self.jigsaw_classifier, codes)
        return loss, {"jigsaw_accuracy": accuracy}

    def code_prediction_loss(self, inputs):
        """Cross-entropy of each modality's codes with the balanced assignments of the others."""
        features = inputs.features[self.backbone.quantized_kind]
        weights = inputs.weights(features)
        losses = []
        for similarities in self._code_similarities(features):
            assignments = {
                name: code_prediction.balanced_assignments(
                    x, self.assignment_temperature, weights=weights.get(name)
                )
                for name, x in similarities.items()
            }
            losses.append(
                code_prediction.code_prediction_loss(
                    similarities,
                    assignments,
                    self.prediction_temperature,
                    weights,
                    aligned=self.backbone.fine,
                )
            )
        return sum(losses) / len(losses)

    def _code_similarities(self, features):
        """Cosine similarity to all codes by modality, for each index of a vector."""
        quantizer = self.backbone.quantizer
        if isinstance(quantizer, AlignedCodebook) or not isinstance(quantizer, Quantizer):
            codes = ops.stop_gradient(ops.convert_to_tensor(quantizer.codebook))
            codebooks = self.modality_codebooks(codes)
            return [{m: contrastive.cosine_logits(x, codebooks[m]) for m, x in features.items()}]
        found = [quantizer.index_similarities(x) for x in features.values()]
        return [dict(zip(features, of_index, strict=True)) for of_index in zip(*found, strict=True)]

    def training_callbacks(self):
        quantizer = self.backbone.quantizer
        stored = not isinstance(quantizer, Quantizer) or bool(quantizer.adaptable_parts())
        if self.codebook_init_step is None or not stored:
            return []
        return [KMeansCodebookInit(self.codebook_init_step)]

    def get_config(self):
        names = (
            "commitment_cost cross_modal_commitment infonce_temperature infonce_symmetric "
            "segment_window_radius infonce_pairs prediction_temperature assignment_temperature "
            "code_matching_kind disentangling discriminator club "
            "coarse_club_weight fine_club_weight cpc cpc_self_weight cpc_candidates "
            "cpc_first_frame decoder_channels pre_activation_skip detach_coarse_targets "
            "mask_ratio jigsaw estimator_steps codebook_init_step"
        ).split()
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "decoders": serialize_layers(self.decoders),
        }
