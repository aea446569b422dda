"""FCID's training: what is reconstructed, aligned, disentangled, and with which weight."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import keras
from keras import ops

from keras_cmg.backend.replicas import own
from keras_cmg.callbacks.kmeans_codebook_init import KMeansCodebookInit
from keras_cmg.layers.club_estimator import CLUBEstimator
from keras_cmg.layers.cpc_predictor import CPCPredictor
from keras_cmg.layers.decoders import MapDecoder, SequenceDecoder
from keras_cmg.models.base import terms
from keras_cmg.models.base.pretrainer import Pretrainer
from keras_cmg.models.base.registry import register_model
from keras_cmg.models.base.terms import full_precision, mean_squared_error
from keras_cmg.models.fcid import presets
from keras_cmg.models.fcid.backbone import FCIDBackbone
from keras_cmg.ops import code_matching, counter_random, quantization

INFONCE_PAIRS = ("coarse", "all")

TERMS = (
    "fine_reconstruction",
    "coarse_reconstruction",
    "commitment",
    "cpc",
    "infonce",
    "segment_infonce",
    "code_matching",
)
"""Terms that may be given a weight whichever modalities there are; CLUB's follow the modalities."""


@register_model("fcid")
@keras.saving.register_keras_serializable("keras_cmg")
class FCID(Pretrainer):
    """Fine and Coarse cross-modal Information Disentangling, with its custom train step.

    The loss is the weighted sum of the terms in `loss_names` (the paper's Eq. 19):
    `fine_reconstruction`, `coarse_reconstruction`, `commitment`, `cpc` and `infonce` align;
    `club_<modality>` and `club_<group>` disentangle, with estimators trained in
    `estimator_steps` steps of their own per step; `code_matching` is the authors' addition, and
    `segment_infonce` ours: InfoNCE of the fine modalities in each segment. With two modalities the
    half that applies is used; with one it is a VQVAE over segments.

    Args:
        backbone: an `FCIDBackbone`, or a tuple of modalities for the preset `"small"`.
        loss_weights: term to weight; 1 where none is given, 0 leaves a term out of the program.
        commitment_cost: the paper's beta.
        cross_modal_commitment: see `keras_cmg.ops.commitment_loss`.
        infonce_temperature: the paper's tau, of both terms of InfoNCE.
        infonce_symmetric: both directions, of both terms.
        infonce_pairs: `"coarse"`, each fine modality with each coarse one; `"all"`, every pair.
        code_matching_kind: see `keras_cmg.ops.code_matching_loss`.
        club: arguments of `CLUBEstimator`.
        coarse_club_weight: weight of the CLUB terms of the coarse level where `loss_weights` gives
            none. Eq. 12 sums over all features, and with weight 1 that sum outweighs InfoNCE and
            presses the general features into a constant; `1/embedding_dim` counts it per feature.
        fine_club_weight: the same for the CLUB terms of the fine modalities' features in time.
        cpc: arguments of `CPCPredictor`.
        cpc_self_weight: weight of self-predictions; cross-modal ones weigh 1.
        cpc_candidates: see `keras_cmg.ops.cpc_loss`.
        cpc_first_frame: earliest frame that may be the last observed one.
        decoder_channels: inner width of map decoders.
        pre_activation_skip: see `keras_cmg.layers.ResidualUnit`, for map decoders.
        detach_coarse_targets: no gradient into the targets of the coarse reconstruction.
        decoders: modality to Keras layer in the place of the fine decoder: takes
            `(general, specific)`, returns the modality's features.
        estimator_steps: steps of the estimators per step, the K of the training loop.
        codebook_init_step: epoch, from 0, before which `fit` places the codes by k-means on the
            features of its data, see `keras_cmg.callbacks.KMeansCodebookInit`; None leaves them
            where they are.
        **kwargs: the arguments of every Keras model.

    Call arguments:
        inputs: a batch, see `FCIDBackbone`; an optional entry `"draws"` replaces what would be
            drawn: `"cpc_time"`, an int scalar, and `"club_<name>"`, permutations.
        training: whether dropout acts and the codebook moves.

    Returns:
        The features of `FCIDBackbone`; with code matching also `"codebook"`, the codes from
        before the update.

    Raises:
        ValueError: for unknown terms in `loss_weights` or unknown switches.

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

    def __init__(
        self,
        backbone: FCIDBackbone | tuple[str, ...],
        loss_weights: Mapping[str, float] | None = None,
        commitment_cost: float = 0.25,
        cross_modal_commitment: bool = False,
        infonce_temperature: float = 1.0,
        infonce_symmetric: bool = False,
        infonce_pairs: str = "coarse",
        code_matching_kind: str = "symmetric",
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
        decoders: Mapping[str, keras.Layer] | None = None,
        estimator_steps: int = 5,
        codebook_init_step: int | None = None,
        **kwargs,
    ):
        if not isinstance(backbone, FCIDBackbone):
            backbone = FCIDBackbone.from_preset("small", modalities=backbone)
        super().__init__(backbone, **kwargs)
        if infonce_pairs not in INFONCE_PAIRS:
            raise ValueError(
                f"`infonce_pairs` must be one of {INFONCE_PAIRS}. Received: {infonce_pairs!r}"
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
        self.infonce_pairs = infonce_pairs
        self.code_matching_kind = code_matching_kind
        self.settings = {"club": dict(club or {}), "cpc": dict(cpc or {})}
        self.coarse_club_weight = coarse_club_weight
        self.fine_club_weight = fine_club_weight
        self.cpc_self_weight = cpc_self_weight
        self.cpc_candidates = cpc_candidates
        self.cpc_first_frame = cpc_first_frame
        self.decoder_channels = decoder_channels
        self.pre_activation_skip = pre_activation_skip
        self.detach_coarse_targets = detach_coarse_targets
        self.given_decoders = dict(decoders or {})
        self._estimator_steps = estimator_steps
        defaults = {"code_matching": 0.0, "segment_infonce": 0.0}
        defaults.update({f"club_{name}": fine_club_weight for name in backbone.fine})
        defaults.update({f"club_{group}": coarse_club_weight for group in backbone.groups})
        self.weigh(self._all_terms(), loss_weights, defaults, also_known=TERMS)
        self.cpc = CPCPredictor(dtype=self.dtype_policy, name="cpc", **self.settings["cpc"])
        self.estimators = {
            name: CLUBEstimator(dtype=self.dtype_policy, name=name, **self.settings["club"])
            for name in self._club_terms()
            if self.weights_of[name]
        }
        self.create_trackers()

    # What the loss is made of.

    def _club_terms(self) -> tuple[str, ...]:
        if len(self.backbone.modalities) == 1:
            return (f"club_{self.backbone.modalities[0]}",) if self.backbone.fine else ()
        return tuple(f"club_{name}" for name in (*self.backbone.fine, *self.backbone.groups))

    def _all_terms(self) -> tuple[str, ...]:
        names = ["coarse_reconstruction", "commitment"]
        if self.backbone.fine:
            names.insert(0, "fine_reconstruction")
        if len(self.backbone.fine) > 1:
            names.append("cpc")
        if self._infonce_pairs():
            names.append("infonce")
        if len(self.backbone.fine) > 1:
            names.append("segment_infonce")
        if len(self.backbone.modalities) > 1:
            names.append("code_matching")
        return (*names, *self._club_terms())

    def _infonce_pairs(self) -> list[tuple[str, str]]:
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
        """Every logged key: the terms, the estimators' fit, and what tells how training goes."""
        keys = [*self.loss_names, "perplexity", "code_usage", "code_agreement"]
        keys += [f"{name}_nll" for name in self.estimators]
        if "cpc" in self.loss_names:
            pairs = ((a, b) for a in self.backbone.fine for b in self.backbone.fine)
            keys += [f"cpc_accuracy_{a}_{b}" for a, b in pairs]
        return tuple(keys)

    @property
    def estimator_steps(self) -> int:  # type: ignore[override]
        """Steps of the estimators per step; 0 where no term needs one."""
        return self._estimator_steps if self.estimators else 0

    # Weights.

    def build(self, input_shape: Mapping[str, Any]) -> None:
        backbone = self.backbone
        self.build_backbone(input_shape)
        dim, dtype = backbone.embedding_dim, self.dtype_policy
        vector, frames = (None, dim), (None, None, dim)
        self.fine_decoders, self.coarse_decoders = {}, {}
        for name in backbone.fine if self.weights_of.get("fine_reconstruction") else ():
            shape = backbone.feature_shapes[name]
            decoder = self.given_decoders.get(name) or self._decoder(name, shape)
            if not decoder.built:
                specific = backbone.specific_encoders[name].compute_output_shape(shape)
                decoder.build((*shape[:2], dim), specific)
            self.fine_decoders[name] = decoder
        for name in backbone.modalities if self.weights_of["coarse_reconstruction"] else ():
            decoder = SequenceDecoder(dim, dtype=dtype, name=f"{name}_coarse_decoder")
            shape = frames if backbone.quantizes_segments(name) else vector
            decoder.build(shape, shape)
            self.coarse_decoders[name] = decoder
        if "cpc" in self.loss_names:
            self.cpc.build({m: (None, backbone.feature_shapes[m][1], dim) for m in backbone.fine})
        for term, estimator in self.estimators.items():
            if estimator.built:
                continue
            name = term.removeprefix("club_")
            if name in backbone.fine:
                shape = backbone.feature_shapes[name]
                summary = backbone.specific_encoders[name].summary_shape(shape)
                estimator.build(frames, (None, *summary[1:]))
            else:
                segments = backbone.quantizes_segments(backbone.groups[name][0])
                shape = frames if segments else vector
                estimator.build(shape, shape)
        self.draw_counter = self.add_weight(
            name="draw_counter",
            shape=(),
            initializer="zeros",
            dtype="int32",
            trainable=False,
            aggregation="only_first_replica",
        )
        self._estimator_ids = {
            id(v) for layer in self.estimators.values() for v in layer.trainable_variables
        }
        self.built = True

    def _decoder(self, name, shape):
        arguments = {"dtype": self.dtype_policy, "name": f"{name}_decoder"}
        if len(shape) == 5:
            return MapDecoder(
                shape[-1], self.decoder_channels, self.pre_activation_skip, **arguments
            )
        return SequenceDecoder(shape[-1], **arguments)

    @property
    def replica_entries(self) -> tuple[str, ...]:  # type: ignore[override]
        """Beside the modalities, what only decoders look at."""
        return (*super().replica_entries, "fine_specific")

    def is_estimator(self, variable: Any) -> bool:
        return id(variable) in self._estimator_ids

    # Losses.

    def call(self, inputs, training=False):
        if not self.weights_of.get("code_matching"):
            return self.backbone(inputs, training=training)
        # A copy, because the backbone's call moves the codebook in place on some engines.
        codebook = ops.copy(ops.convert_to_tensor(self.backbone.quantizer.codebook))
        return {**self.backbone(inputs, training=training), "codebook": codebook}

    def estimator_loss(self, x, features):
        masks = self.backbone.frame_masks(x)
        losses = {}
        for term, estimator in self.estimators.items():
            general, specific, weights = self._disentangled(term, features, masks)
            losses[f"{term}_nll"] = -estimator.log_likelihood(general, specific, weights)
        return losses

    def _disentangled(self, term: str, features: dict, masks: dict) -> tuple[Any, Any, Any]:
        """General and specific features that a CLUB term keeps apart, and which of them count."""
        name = term.removeprefix("club_")
        if name in self.backbone.fine:
            kinds, members = ("fine_general", "fine_summary"), (name,)
        else:
            kinds, members = ("coarse_general", "coarse_specific"), self.backbone.groups[name]
        weights = terms.stacked_weights(masks, {m: features[kinds[0]][m] for m in members})
        general, specific = (
            full_precision(self, terms.stacked([features[kind][m] for m in members]))
            for kind in kinds
        )
        return general, specific, weights

    def main_losses(self, x, features, training):
        features = keras.tree.map_structure(lambda value: full_precision(self, value), features)
        draws = x.get("draws", {})
        counter = self.draw_counter if training else ops.zeros((), dtype="int32")
        masks = self.backbone.frame_masks(x)
        losses = {}
        logs = {}
        if self.weights_of.get("fine_reconstruction"):
            kinds = ("fine_general", "fine_specific")
            losses["fine_reconstruction"] = sum(
                mean_squared_error(
                    own(x)[name],
                    decoder(*(own(features)[kind][name] for kind in kinds)),
                    self.backbone.frame_masks(own(x)).get(name),
                )
                for name, decoder in self.fine_decoders.items()
            )
        if self.weights_of["coarse_reconstruction"]:
            losses["coarse_reconstruction"] = self._coarse_reconstruction(features, masks)
        if self.weights_of["commitment"]:
            losses["commitment"] = sum(
                quantization.commitment_loss(
                    features["coarse_general"],
                    features["codes"],
                    self.commitment_cost,
                    self.cross_modal_commitment,
                    terms.level_weights(masks, features["coarse_general"]),
                ).values()
            )
        if "cpc" in self.loss_names:
            losses["cpc"], accuracies = self._cpc(features, masks, draws, counter)
            logs.update(accuracies)
        if "infonce" in self.loss_names:
            losses["infonce"] = terms.infonce(
                features["coarse_general"],
                self._infonce_pairs(),
                self.infonce_temperature,
                self.infonce_symmetric,
                masks,
            )
        if "segment_infonce" in self.loss_names:
            losses["segment_infonce"] = terms.infonce(
                features["fine_general"],
                combinations(self.backbone.fine, 2),
                self.infonce_temperature,
                self.infonce_symmetric,
                masks,
                level="segment",
            )
        if self.weights_of.get("code_matching"):
            losses["code_matching"] = code_matching.code_matching_loss(
                features["coarse_general"],
                features["codebook"],
                self.code_matching_kind,
                masks,
            )
        for salt, (term, estimator) in enumerate(self.estimators.items()):
            general, specific, weights = self._disentangled(term, features, masks)
            permutation = draws.get(term)
            if permutation is None and estimator.negatives != "all":
                permutation = counter_random.random_permutation(
                    counter, ops.shape(general)[0], salt=2 + salt
                )
            losses[term] = estimator.club_upper_bound(general, specific, permutation, weights)
        if training:
            self.draw_counter.assign(self.draw_counter + 1)
        weights = terms.level_weights(masks, features["coarse_general"])
        codes = terms.code_logs(features["indices"], self.backbone.num_embeddings, weights)
        return {"loss": self.total(losses), **losses, **logs, **codes}

    def _coarse_reconstruction(self, features, masks):
        weights = terms.level_weights(masks, features["projected"])
        errors = []
        for name, decoder in self.coarse_decoders.items():
            target = features["projected"][name]
            if self.detach_coarse_targets:
                target = ops.stop_gradient(target)
            rebuilt = decoder(features["quantized"][name], features["coarse_specific"][name])
            errors.append(mean_squared_error(target, rebuilt, weights.get(name)))
        return sum(errors)

    def _cpc(self, features, masks, draws, counter):
        fine = {name: features["fine_general"][name] for name in self.backbone.fine}
        time = draws.get("cpc_time")
        if time is None:
            steps = self.cpc.num_prediction_steps
            time = terms.cpc_time(counter, fine, steps, self.cpc_first_frame)
        return terms.cpc_terms(
            self.cpc, fine, time, self.cpc_self_weight, self.cpc_candidates, masks
        )

    def training_callbacks(self):
        if self.codebook_init_step is None:
            return []
        return [KMeansCodebookInit(self.codebook_init_step)]

    # Saving.

    def get_config(self):
        names = (
            "commitment_cost cross_modal_commitment infonce_temperature infonce_symmetric "
            "infonce_pairs code_matching_kind coarse_club_weight fine_club_weight cpc_self_weight "
            "cpc_candidates cpc_first_frame decoder_channels pre_activation_skip "
            "detach_coarse_targets "
            "codebook_init_step"
        ).split()
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            **self.settings,
            "loss_weights": self.given_weights,
            "estimator_steps": self._estimator_steps,
            "decoders": {
                name: keras.saving.serialize_keras_object(layer)
                for name, layer in self.given_decoders.items()
            },
        }

    @classmethod
    def from_config(cls, config):
        config["decoders"] = {
            name: keras.saving.deserialize_keras_object(layer)
            for name, layer in config.get("decoders", {}).items()
        }
        return super().from_config(config)
