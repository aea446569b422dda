"""Pretrainer: a backbone, the terms of a loss and their weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import keras
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.layers.club_estimator import CLUBEstimator
from keras_cmg.layers.cpc_predictor import CPCPredictor
from keras_cmg.layers.precision import variable_dtype
from keras_cmg.layers.quantizers.aligned_codebook import AlignedCodebook
from keras_cmg.models.base.backbone import Backbone
from keras_cmg.models.base.configs import (
    build_config,
    build_from_config,
    deserialize_layers,
    freeze_layers,
    frozen_layers,
    quantizing_all_layers,
)
from keras_cmg.models.base.exporting import export_system
from keras_cmg.models.base.presets import Presets, merged, named
from keras_cmg.models.base.step_inputs import EstimatorPair, StepInputs
from keras_cmg.models.base.trainer import Trainer
from keras_cmg.ops import code_matching, contrastive, counter_random, quantization
from keras_cmg.types import Tensor

CODE_LOGS = ("perplexity", "code_usage", "code_agreement")


class Pretrainer(Trainer):
    """Trains a backbone without labels, down a weighted sum of loss terms.

    A subclass

    - returns its terms and their default weights from `default_loss_weights`, and calls
      `set_loss_weights` at the end of its `__init__`;
    - defines each term as a method `<term>_loss(inputs)` of a `StepInputs` that returns a scalar,
      or a scalar and a dict of logs;
    - makes layers that only training needs (decoders, teachers) in `build_layers`;
    - sets `backbone_class` and `presets`.

    Terms named `club_<name>` are upper bounds of mutual information (CLUB), for which the base
    class has `club_loss` and the estimators' own steps: a subclass makes the estimators by
    `set_estimators` and returns what each compares from `estimator_pairs`. `commitment`, `cpc` and
    `code_matching` are defined here as well, since several systems have them.

    Args:
        backbone: an instance of `backbone_class`; or a tuple of modalities, for the backbone of the
            preset that is the default of that class, `"small"`.
        frozen_layers: paths of inner layers that do not train, see `Backbone`; those within the
            backbone are listed by the backbone itself.
        **kwargs: the arguments of every Keras model.

    Raises:
        ValueError: if `backbone` is neither.

    Example:

    >>> isinstance(keras_cmg.models.FCID(("audio", "video")), keras_cmg.models.Pretrainer)
    True
    """

    backbone_class: ClassVar[type[Backbone]] = Backbone
    presets: ClassVar[Presets] = {}
    """Named settings: `"backbone"`, arguments of the backbone, and `"objective"`, of this class."""
    default_preset: ClassVar[str] = "small"
    """The preset that is used where none is named."""
    code_logs: ClassVar[tuple[str, ...]] = CODE_LOGS
    """Statistics of the codes that are logged."""
    optional_terms: ClassVar[tuple[str, ...]] = ()
    """Terms that `loss_weights` may name although they do not apply to the given modalities."""
    codebook_terms: ClassVar[tuple[str, ...]] = ("code_matching",)
    """Terms that compare features with the codes from before the step's update."""
    layer_arguments: ClassVar[tuple[str, ...]] = ("backbone",)
    """Arguments that hold a layer, or a dict of layers."""

    # Arguments of the systems that have the terms below.
    commitment_cost: float
    cross_modal_commitment: bool = False
    code_matching_kind: str
    cpc_predictor: CPCPredictor
    cpc_self_weight: float
    cpc_candidates: str
    cpc_first_frame: int

    def __init__(self, backbone: Any, frozen_layers: tuple[str, ...] = (), **kwargs):
        super().__init__(**kwargs)
        if not isinstance(backbone, self.backbone_class):
            shared = {key: kwargs[key] for key in ("dtype",) if key in kwargs}
            backbone = self.default_backbone(backbone, **shared)
        self.backbone = backbone
        self.loss_weights: dict[str, float] = {}
        self.trackers: dict[str, keras.metrics.Mean] = {}
        self.estimators: dict[str, CLUBEstimator] = {}
        self._to_freeze = tuple(frozen_layers)
        self._quantization: Any = None
        self._estimator_ids: set[int] = set()

    @classmethod
    def from_preset(
        cls,
        name: str | None = None,
        modalities: tuple[str, ...] | None = None,
        seed: int = 0,
        backbone: Mapping[str, Any] | None = None,
        **overrides,
    ) -> Self:
        """Makes a pretrainer and its backbone with named settings.

        Args:
            name: a key of `presets`; `default_preset` if None.
            modalities: names; default audio, video and text.
            seed: of the initial codes and of dropout. Other weights follow
                `keras.utils.set_random_seed`.
            backbone: changes to the backbone's settings.
            **overrides: arguments of the class; dicts are merged into the preset's.

        Returns:
            The model, not compiled.

        Raises:
            ValueError: for an unknown preset, or unknown arguments.

        Example:

        >>> model = keras_cmg.models.FCID.from_preset("paper", loss_weights={"club_text": 0.0})
        >>> model.loss_weights["club_text"], model.loss_weights["cpc"]
        (0.0, 1.0)
        """
        settings = named(cls.presets, name or cls.default_preset)
        shared = {key: overrides[key] for key in ("dtype",) if key in overrides}
        if modalities is not None:
            shared["modalities"] = modalities
        changes = {"seed": seed, **shared, **(backbone or {})}
        body = cls.backbone_class(**merged(settings["backbone"], changes))
        return cls(body, **merged(settings["objective"], overrides))

    @classmethod
    def default_backbone(cls, modalities: tuple[str, ...], **overrides) -> Backbone:
        """Makes the backbone of the preset that is the default of `backbone_class`.

        Args:
            modalities: names.
            **overrides: other arguments of the backbone.

        Returns:
            A backbone, not built.

        Raises:
            ValueError: if `modalities` is no sequence of names.

        Example:

        >>> keras_cmg.models.FCID.default_backbone(("audio",)).modalities
        ('audio',)
        """
        if not isinstance(modalities, list | tuple):
            raise ValueError(
                f"`backbone` must be a {cls.backbone_class.__name__} or a tuple of modalities. "
                f"Received: {modalities!r}"
            )
        settings = named(cls.presets, cls.backbone_class.default_preset)["backbone"]
        changes = {**overrides, "modalities": tuple(modalities)}
        return cls.backbone_class(**merged(settings, changes))

    def require_several_modalities(self) -> None:
        """Raises an error for a single modality, in systems that learn from pairs alone.

        Raises:
            ValueError: naming the system and the modality.

        Example:

        >>> keras_cmg.models.FCID(("audio", "text")).require_several_modalities()
        """
        if len(self.backbone.modalities) < 2:
            raise ValueError(
                f"{type(self).__name__} aligns modalities with one another and has nothing to "
                "learn from one alone. `modalities` must hold at least two names. "
                f"Received: {self.backbone.modalities}"
            )

    # Terms and their weights.

    def default_loss_weights(self) -> dict[str, float]:
        """Returns the terms that apply to the given modalities, with their default weights.

        Returns:
            Term to weight.

        Raises:
            NotImplementedError: if a subclass does not define it.

        Example:

        >>> keras_cmg.models.FCID(("audio", "text")).default_loss_weights()["infonce"]
        1.0
        """
        raise NotImplementedError(f"{type(self).__name__} must define `default_loss_weights`.")

    def set_loss_weights(self, loss_weights: Mapping[str, float] | None = None) -> None:
        """Sets the weight of each term, and makes a running mean for each log key.

        Args:
            loss_weights: term to weight; others keep their default.

        Raises:
            ValueError: for a weight of an unknown term, or one that is not finite.

        Example:

        >>> model = keras_cmg.models.FCID(("audio",))
        >>> model.set_loss_weights({"commitment": 2.0})
        >>> model.loss_weights["commitment"], model.loss_weights["club_audio"]
        (2.0, 1.0)
        """
        given, defaults = dict(loss_weights or {}), self.default_loss_weights()
        known = tuple(dict.fromkeys((*self.optional_terms, *defaults)))
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise ValueError(f"`loss_weights` must name terms of {known}. Received: {unknown}")
        bad = {term: weight for term, weight in given.items() if not math.isfinite(weight)}
        if bad:
            raise ValueError(f"`loss_weights` must be finite. Received: {bad}")
        self.loss_weights = {
            term: float(given.get(term, default)) for term, default in defaults.items()
        }
        self.trackers = {key: keras.metrics.Mean(name=key) for key in self.log_keys}

    @property
    def loss_names(self) -> tuple[str, ...]:
        """The terms with a weight other than zero."""
        return tuple(term for term, weight in self.loss_weights.items() if weight)

    @property
    def club_terms(self) -> tuple[str, ...]:
        """The terms with an estimator of mutual information."""
        return tuple(name for name in self.loss_names if name.startswith("club_"))

    @property
    def log_keys(self) -> tuple[str, ...]:
        """Keys of the logs of a training step, without `"loss"`.

        The terms, statistics of the codes, `"partner_retrieval"` of several modalities, and the
        negative log-likelihood of each estimator.
        """
        retrieval = ("partner_retrieval",) if len(self.backbone.modalities) > 1 else ()
        likelihoods = (f"{name}_nll" for name in self.club_terms)
        return (*self.loss_names, *self.code_logs, *retrieval, *likelihoods)

    def set_estimators(self, club: Mapping[str, Any]) -> None:
        """Makes an estimator of mutual information for each term in `club_terms`.

        Args:
            club: arguments of `keras_cmg.layers.CLUBEstimator`.

        Example:

        >>> model = keras_cmg.models.FCID(("audio",))
        >>> model.set_estimators({"hidden_units": 8})
        >>> model.estimators["club_audio"].hidden_units
        8
        """
        self.estimators = {
            name: CLUBEstimator(dtype=self.dtype_policy, name=name, **club)
            for name in self.club_terms
        }

    def estimator_pairs(self, inputs: StepInputs) -> dict[str, EstimatorPair]:
        """Returns what each estimator compares.

        Args:
            inputs: of the step.

        Returns:
            Term to two features and the weights of their samples; empty without estimators.

        Example:

        >>> model = keras_cmg.models.CMCM(("audio", "text"))
        >>> model.estimator_pairs(None)
        {}
        """
        return {}

    # Layers.

    def build(self, input_shape: Mapping[str, Any]) -> None:
        backbone = self.backbone
        if not backbone.built:
            backbone.build({m: input_shape[m] for m in backbone.modalities if m in input_shape})
        with engine.current().initialization():
            self.build_layers()
        self.step_counter = self.add_weight(
            name="step_counter",
            shape=(),
            initializer="zeros",
            dtype="int32",
            trainable=False,
            aggregation="only_first_replica",
        )
        self._estimator_ids = {
            id(v) for layer in self.estimators.values() for v in layer.trainable_variables
        }
        freeze_layers(self, self._to_freeze)
        self._to_freeze = ()
        self.built = True

    def build_layers(self) -> None:
        """Makes and builds the layers that only training needs; the backbone is built."""

    @property
    def frozen_layers(self) -> tuple[str, ...]:
        """Paths of the inner layers that do not train, without those of the backbone."""
        return tuple(sorted({*self._to_freeze, *frozen_layers(self, (self.backbone,))}))

    def is_estimator(self, variable: Any) -> bool:
        return id(variable) in self._estimator_ids

    @property
    def replica_entries(self) -> tuple[str, ...]:  # type: ignore[override]
        """Entries that stay on their replica, see `PhasedObjective`: the modalities themselves.

        A term of the modalities takes them, and its features, from `StepInputs.own`, and its mean
        by `squared_error` or `keras_cmg.backend.engine.global_mean`.
        """
        return self.backbone.modalities

    def call(self, inputs, training=False):
        # Keras has cleared the losses that layers have added: those of all replicas of a process.
        engine.current().wait_for_replicas()
        return self.backbone(inputs, training=training)

    # Losses of a step.

    def prepare_step(self, x: Mapping[str, Any], training: bool = False) -> StepInputs:
        """Runs the model on a batch and returns what all losses of the step are computed from.

        In training it also updates the codebook and counts the step.

        Args:
            x: the batch, or the replica's part of it.
            training: whether this is a training step.

        Returns:
            The arguments of `estimator_loss` and `main_losses`.

        Example:

        >>> model = keras_cmg.models.FCID(("audio",))
        >>> inputs = model.prepare_step({"audio": np.zeros((2, 10, 128), "float32")})
        >>> sorted(inputs.features["indices"])
        ['audio']
        """
        if not self.built:
            self.build({name: x[name].shape for name in self.backbone.modalities if name in x})
        code_tables: tuple[Tensor, ...] = ()
        if set(self.codebook_terms) & set(self.loss_names):
            # Copies, because the backbone's call changes the codes in place on some engines.
            code_tables = tuple(ops.copy(codes) for codes in self.backbone.code_tables())
        step = ops.copy(ops.convert_to_tensor(self.step_counter))
        masks = self.backbone.frame_masks(x)
        # So that targets of a reconstruction are finite.
        x = self.backbone.zero_masked_frames(x, masks)
        features = self(x, training=training)
        # Otherwise the number of blocks follows from the size of the batch.
        parts = self.backbone.parts_of(x[self.backbone.modalities[0]].shape[0]) if training else 1
        if training:
            self.step_counter.assign(step + 1)
        inputs = StepInputs(
            batch=x,
            features=keras.tree.map_structure(self._full_precision, features),
            masks={
                name: ops.cast(ops.cast(mask, "bool"), "float32") for name, mask in masks.items()
            },
            training=training,
            step=step,
            code_tables=code_tables,
            added_losses=tuple(self._layer_losses()[0]) if training else (),
            similarity_blocks=parts if parts > 1 else None,
        ).gather(self.replica_entries)
        return inputs.with_estimator_pairs(self.estimator_pairs(inputs))

    def _full_precision(self, x: Tensor) -> Tensor:
        """Casts floats to the dtype of losses, which are never summed in half precision."""
        if "float" in keras.backend.standardize_dtype(x.dtype):
            return ops.cast(x, variable_dtype(self.dtype_policy))
        return x

    def main_losses(self, inputs: StepInputs) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        logs: dict[str, Tensor] = {}
        for term in self.loss_names:
            losses[term], more = self.term_loss(term, inputs)
            logs.update(more)
        total: Any = sum((self.loss_weights[term] * value for term, value in losses.items()), 0.0)
        for extra in self._extra_losses(inputs) if inputs.training else ():
            total = total + ops.cast(extra, total.dtype)
        return {"loss": total, **losses, **logs, **self.extra_logs(inputs)}

    def _layer_losses(self) -> tuple[list[Tensor], list[Tensor]]:
        """Returns what layers passed to `add_loss`, and the losses of weight regularisers."""
        losses = list(self.losses)
        # Keras lists those of regularisers last, one for each regularised weight.
        count = sum(weight.regularizer is not None for weight in self.trainable_weights)
        split = len(losses) - count
        return engine.current().own_losses(losses[:split]), losses[split:]

    def _extra_losses(self, inputs: StepInputs) -> list[Tensor]:
        """Returns the losses that layers added in the forward pass or in a term, each once."""
        added, regularizers = self._layer_losses()
        # On JAX the two are of two scopes; elsewhere the second list holds the first.
        known = {id(loss) for loss in inputs.added_losses}
        later = [loss for loss in added if id(loss) not in known]
        return [*inputs.added_losses, *later, *regularizers]

    def term_loss(self, term: str, inputs: StepInputs) -> tuple[Tensor, dict[str, Tensor]]:
        """Computes one term.

        Args:
            term: one of `loss_names`.
            inputs: of the step.

        Returns:
            Scalar, without the term's weight; and what else it logs, key to scalar.

        Example:

        >>> model = keras_cmg.models.FCID(("audio",))
        >>> inputs = model.prepare_step({"audio": np.zeros((2, 10, 128), "float32")})
        >>> loss, logs = model.term_loss("commitment", inputs)
        >>> tuple(loss.shape), logs
        ((), {})
        """
        if term in self.estimators:
            return self.club_loss(term, inputs), {}
        value = getattr(self, f"{term}_loss")(inputs)
        return value if isinstance(value, tuple) else (value, {})

    def extra_logs(self, inputs: StepInputs) -> dict[str, Tensor]:
        """Computes what is logged beside the terms: statistics of the codes, and retrieval.

        Args:
            inputs: of the step.

        Returns:
            Log key to scalar: the keys of `code_logs`; and, of several modalities,
            `"partner_retrieval"`, the share of clips for which the clip's own feature in another
            modality is the nearest of the batch, as the mean over ordered pairs of modalities.
        """
        if len(self.backbone.modalities) < 2:
            return self.code_statistics(inputs)
        features = inputs.clip_features(inputs.features[self.backbone.quantized_kind])
        shares, blocks = [], inputs.similarity_blocks
        for a, b in itertools.combinations(self.backbone.modalities, 2):
            present = inputs.pair_presence(a, b, features[a])
            x, y, other = features[a], features[b], present and present[::-1]
            shares += [
                contrastive.partner_accuracy(x, y, present, blocks),
                contrastive.partner_accuracy(y, x, other, blocks),
            ]
        return {**self.code_statistics(inputs), "partner_retrieval": sum(shares) / len(shares)}

    def code_statistics(self, inputs: StepInputs) -> dict[str, Tensor]:
        """Computes statistics of the codes of a batch.

        Args:
            inputs: of the step.

        Returns:
            Log key to scalar, the keys of `code_logs`.
        """
        if not self.code_logs:
            return {}
        indices = self.first_indices(inputs)
        weights = inputs.weights(inputs.features[self.backbone.quantized_kind])
        every = ops.concatenate([ops.reshape(index, (-1,)) for index in indices.values()])
        counts = None
        if weights:
            counts = ops.concatenate(
                [
                    ops.reshape(weights.get(name, ops.ones_like(index, dtype="float32")), (-1,))
                    for name, index in indices.items()
                ]
            )
        usage = quantization.code_usage(every, self.backbone.num_embeddings, counts)
        logs = {
            "perplexity": quantization.perplexity(usage),
            "code_usage": ops.mean(ops.cast(usage > 0, "float32")),
        }
        if "code_agreement" in self.code_logs:
            logs["code_agreement"] = quantization.code_agreement(indices, weights)
        return logs

    def first_indices(self, inputs: StepInputs) -> dict[str, Tensor]:
        """Returns one index per vector: of several, that of the first level or group.

        Args:
            inputs: of the step.

        Returns:
            Modality to int tensor `(batch, [frames])`.

        Example:

        >>> model = keras_cmg.models.FCID(("audio",))
        >>> inputs = model.prepare_step({"audio": np.zeros((2, 10, 128), "float32")})
        >>> tuple(model.first_indices(inputs)["audio"].shape)
        (2, 10)
        """
        several = len(getattr(self.backbone.quantizer, "index_shape", ()))
        first = (..., *(0,) * several)
        return {name: index[first] for name, index in inputs.features["indices"].items()}

    def estimator_loss(self, inputs: StepInputs) -> dict[str, Tensor]:
        return {
            f"{term}_nll": -estimator.log_likelihood(*inputs.estimator_pairs[term])
            for term, estimator in self.estimators.items()
        }

    # Terms that several systems have.

    def club_loss(self, term: str, inputs: StepInputs) -> Tensor:
        """Computes the CLUB bound on the mutual information of two features (Cheng et al., 2020).

        Args:
            term: a key of `estimators`.
            inputs: of the step.

        Returns:
            Scalar, in nats.
        """
        estimator = self.estimators[term]
        x, y, weights = inputs.estimator_pairs[term]
        permutation = inputs.draws.get(term)
        if permutation is None and estimator.negatives != "all":
            salt = 2 + list(self.estimators).index(term)
            permutation = counter_random.random_permutation(
                inputs.draw_counter, ops.shape(x)[0], salt=salt
            )
        return estimator.club_upper_bound(x, y, permutation, weights)

    def commitment_loss(self, inputs: StepInputs) -> Tensor:
        """Computes how far features are from their codes (van den Oord et al., 2017, Eq. 3).

        Args:
            inputs: of the step.

        Returns:
            Scalar, the sum over modalities.
        """
        return self.commitment_of(
            inputs, self.backbone.quantized_kind, "codes", self.cross_modal_commitment
        )

    def commitment_of(
        self, inputs: StepInputs, features: str, codes: str, cross_modal: bool = False
    ) -> Tensor:
        """Computes how far given features are from given codes.

        Args:
            inputs: of the step.
            features: entry of the model's output, modality to `(batch, [frames,] dim)`.
            codes: entry of the model's output, modality to codes of the same shapes.
            cross_modal: see `keras_cmg.ops.commitment_loss`.

        Returns:
            Scalar, the sum over modalities.
        """
        values = inputs.features[features]
        losses = quantization.commitment_loss(
            values,
            inputs.features[codes],
            self.commitment_cost,
            cross_modal,
            inputs.weights(values),
        )
        return sum(losses.values())

    def code_matching_loss(self, inputs: StepInputs) -> Tensor:
        """Computes cross-modal code matching of the quantised features (Liu et al., 2021).

        Args:
            inputs: of the step.

        Returns:
            Scalar, in nats.
        """
        return self.matching_of(inputs, inputs.features[self.backbone.quantized_kind])

    def matching_of(
        self,
        inputs: StepInputs,
        features: Mapping[str, Tensor],
        tables: Sequence[Tensor] | None = None,
        quantizer: Any = None,
    ) -> Tensor:
        """Computes the code matching of given features.

        Where a vector has several codes, the loss is the mean over them: groups compare their
        channels with their codes, levels what the nearest codes of the levels before leave.

        Args:
            inputs: of the step.
            features: modality to `(batch, [frames,] dim)`.
            tables: codes of each index of a vector; default those from before the step's update.
            quantizer: whose codes they are; default that of the backbone.

        Returns:
            Scalar, in nats.
        """
        tables = inputs.code_tables if tables is None else tables
        losses = [
            code_matching.code_matching_loss(*compared, self.code_matching_kind, inputs.masks)
            for compared in self.compared_with_codes(features, tables, quantizer)
        ]
        return sum(losses) / len(losses)

    def compared_with_codes(
        self, features: Mapping[str, Tensor], tables: Sequence[Tensor], quantizer: Any = None
    ) -> list[tuple[dict[str, Tensor], dict[str, Tensor]]]:
        """Returns vectors and codes whose distances decide how probable each code is.

        They are those of the space in which codes are chosen, see
        `keras_cmg.layers.Quantizer.split_by_index`, in units of `distance_units`.

        Args:
            features: modality to `(batch, [frames,] dim)`.
            tables: codes of each index of a vector, as from `code_tables`.
            quantizer: whose codes they are; default that of the backbone.

        Returns:
            For each index, two dicts by modality: vectors `(batch, [frames,] dim)` and codes
            `(values, dim)`.
        """
        source = quantizer or self.backbone
        parts = {name: source.split_by_index(x, tables) for name, x in features.items()}
        found = []
        for i, (codes, unit) in enumerate(zip(tables, source.distance_units, strict=True)):
            vectors = {name: part[i] for name, part in parts.items()}
            if unit != 1.0:
                vectors = {name: x / unit for name, x in vectors.items()}
                codes = codes / unit
            found.append((vectors, self.modality_codebooks(codes)))
        return found

    def modality_codebooks(self, codebook: Tensor) -> dict[str, Tensor]:
        """Returns the codes that the features of each modality are compared with.

        Args:
            codebook: `(num_embeddings, code_dim)`.

        Returns:
            Modality to `(num_embeddings, embedding_dim)`: the codebook itself, but its blocks with
            `AlignedCodebook`.

        Example:

        >>> model = keras_cmg.models.DCID(("audio", "text"))
        >>> {m: codes.shape for m, codes in model.modality_codebooks(np.zeros((4, 256))).items()}
        {'audio': (4, 256), 'text': (4, 256)}
        """
        quantizer = self.backbone.quantizer
        if isinstance(quantizer, AlignedCodebook):
            return quantizer.blocks(codebook)
        return dict.fromkeys(self.backbone.modalities, codebook)

    def cpc_features(self, inputs: StepInputs) -> dict[str, Tensor]:
        """Returns the features in time that contrastive predictive coding predicts.

        Args:
            inputs: of the step.

        Returns:
            Modality to `(batch, frames, dim)`.
        """
        return inputs.features["general"]

    def cpc_loss(self, inputs: StepInputs) -> tuple[Any, dict[str, Tensor]]:
        """Computes cross-modal contrastive predictive coding (van den Oord et al., 2018).

        Args:
            inputs: of the step.

        Returns:
            The weighted sum over pairs of modalities, in nats; and `cpc_accuracy_<source>_<target>`
            to the share of clips whose target is found.

        Raises:
            ValueError: if the clips have too few frames.
        """
        return self.predictive_coding(inputs, self.cpc_features(inputs), self.cpc_predictor)

    def predictive_coding(
        self,
        inputs: StepInputs,
        features: Mapping[str, Tensor],
        predictor: CPCPredictor,
        name: str = "cpc",
        salt: int = 1,
    ) -> tuple[Any, dict[str, Tensor]]:
        """Computes contrastive predictive coding of some features.

        Args:
            inputs: of the step.
            features: modality to `(batch, frames, dim)`.
            predictor: the layer that predicts them.
            name: prefix of the logs, and of `<name>_time` in the batch's `"draws"`.
            salt: of the random draw of the time, another for each predictor.

        Returns:
            As `cpc_loss`, with keys `<name>_accuracy_<source>_<target>`.

        Raises:
            ValueError: if the clips have too few frames.
        """
        first, num_steps = self.cpc_first_frame, predictor.num_prediction_steps
        time = inputs.draws.get(f"{name}_time")
        if time is None:
            frames = min(x.shape[1] for x in features.values())
            if frames <= first + num_steps:
                raise ValueError(
                    f"CPC of {num_steps} steps from frame {first} on needs clips of at least "
                    f"{first + num_steps + 1} frames. Received: {frames}"
                )
            # Drawn so that all predicted frames exist.
            time = counter_random.random_integer(
                inputs.draw_counter, first, frames - num_steps, salt=salt
            )
        loss, accuracies = 0.0, {}
        axis = 0 if self.cpc_candidates == "targets" else 1
        for pair, logits in predictor(features, time=time).items():
            source, target = pair.split("->")
            logits = self._full_precision(logits)
            weight = self.cpc_self_weight if source == target else 1.0
            present = _cpc_presence(inputs, source, target, features, time, logits.shape[0])
            if weight:
                loss = loss + weight * contrastive.cpc_loss(logits, self.cpc_candidates, present)
            accuracies[f"{name}_accuracy_{source}_{target}"] = contrastive.diagonal_accuracy(
                logits[-1], axis, present and (present[0][-1], present[1])
            )
        return loss, accuracies

    @staticmethod
    def pair_infonce(
        inputs: StepInputs,
        features: Mapping[str, Tensor],
        pairs: Iterable[tuple[str, str]],
        temperature: float,
        symmetric: bool,
        level: str = "clip",
    ) -> Tensor:
        """Computes InfoNCE between the clips, or the segments, of pairs of modalities.

        A clip without a modality, or a frame that does not count, is neither anchor nor candidate.

        Args:
            inputs: of the step.
            features: modality to `(batch, [frames,] dim)`.
            pairs: of modalities, query and key.
            temperature: see `keras_cmg.ops.info_nce`.
            symmetric: whether both directions are averaged.
            level: `"clip"`: frames are averaged first. `"segment"`: each frame finds its partner
                among the same frame of all clips; of two lengths, the frames that both have.

        Returns:
            Scalar, in nats, the sum over pairs.

        Example:

        >>> x = {"audio": np.ones((4, 3, 2), "float32"), "video": np.ones((4, 5, 2), "float32")}
        >>> inputs, pairs = StepInputs({}, {}, {}), [("audio", "video")]
        >>> for level in ("clip", "segment"):
        ...     loss = Pretrainer.pair_infonce(inputs, x, pairs, 1.0, True, level)
        ...     print(round(float(loss), 4))
        1.3863
        1.3863
        """
        if level == "clip":
            features = inputs.clip_features(features)
        losses = []
        for a, b in pairs:
            x, y = features[a], features[b]
            if level == "clip":
                present = inputs.pair_presence(a, b, x)
            else:
                frames = min(x.shape[1], y.shape[1])
                present = _segment_presence(inputs, {a: x, b: y}, frames)
                x, y = (ops.swapaxes(value[:, :frames], 0, 1) for value in (x, y))
            losses.append(
                contrastive.info_nce(
                    x, y, temperature, symmetric, present, inputs.similarity_blocks
                )
            )
        return sum(losses)

    @staticmethod
    def squared_error(target: Tensor, prediction: Tensor, weights: Tensor | None = None) -> Tensor:
        """Computes the mean squared error over all elements of all replicas, in full precision.

        Args:
            target: float tensor `(batch, [frames, ...] dim)`.
            prediction: float tensor of the same shape.
            weights: optional `(batch, [frames])`; 0 leaves a clip or a frame out.

        Returns:
            Scalar.

        Example:

        >>> float(Pretrainer.squared_error(ops.zeros((2, 3)), ops.ones((2, 3))))
        1.0
        """
        wide = keras.backend.result_type(target.dtype, prediction.dtype, "float32")
        error = ops.square(ops.cast(target, wide) - ops.cast(prediction, wide))
        if weights is None:
            return engine.global_mean(error)
        axes = tuple(range(len(weights.shape), len(error.shape)))
        return engine.global_mean(ops.mean(error, axis=axes), ops.cast(weights, wide))

    def decoding_error(
        self,
        inputs: StepInputs,
        decoder: keras.Layer,
        target: Tensor,
        features: tuple[Tensor, ...],
        weights: Tensor | None = None,
    ) -> Tensor:
        """Computes the squared error of what a decoder makes of the features of this replica.

        In training with `batch_chunks`, parts of the batch are decoded one after the other.

        Args:
            inputs: of the step.
            decoder: a built layer.
            target: float tensor `(batch, frames, ..., dim)`.
            features: what the decoder is called on.
            weights: optional `(batch, frames)`; 0 leaves a frame out.

        Returns:
            Scalar, as of `squared_error`.
        """
        if not inputs.training or self.backbone.parts_of(target.shape[0]) == 1:
            return self.squared_error(target, decoder(*features), weights)

        def errors(target: Tensor, *features: Tensor) -> Tensor:
            prediction = decoder(*features)
            wide = keras.backend.result_type(target.dtype, prediction.dtype, "float32")
            error = ops.square(ops.cast(target, wide) - ops.cast(prediction, wide))
            return ops.mean(error, axis=tuple(range(2, len(error.shape))))

        found = self.backbone.in_chunks(errors, decoder, (target, *features), training=True)
        return engine.global_mean(found, weights)

    # Saving.

    def export(
        self, filepath, format="tf_saved_model", verbose=None, input_signature=None, **kwargs
    ):
        export_system(self, filepath, format, input_signature, **kwargs)

    def quantize(self, mode=None, config=None, filters=None, **kwargs):
        with quantizing_all_layers(filters):
            super().quantize(mode, config=config, **kwargs)
        self._quantization = config

    def get_build_config(self):
        shapes = self.backbone.feature_shapes
        return build_config(shapes, self._quantization) if self.built else None

    def build_from_config(self, config):
        build_from_config(self, config)

    def get_config(self):
        return {
            **super().get_config(),
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "frozen_layers": self.frozen_layers,
            "loss_weights": dict(self.loss_weights),
        }

    @classmethod
    def from_config(cls, config):
        return cls(**deserialize_layers(config, cls.layer_arguments))


def _segment_presence(inputs, features, frames):
    """Which frames `(frames, batch)` of two modalities count."""
    if not set(features) & set(inputs.masks):
        return None
    weights = (inputs.frame_weights(m, x)[:, :frames] for m, x in features.items())
    return tuple(ops.transpose(weight) for weight in weights)


def _cpc_presence(inputs, source, target, features, time, num_steps):
    """Which target frames `(steps, batch)` and which predicting clips `(batch,)` there are."""
    if source not in inputs.masks and target not in inputs.masks:
        return None
    steps = ops.cast(time, "int32") + ops.arange(1, num_steps + 1, dtype="int32")
    future = ops.take(inputs.frame_weights(target, features[target]), steps, axis=1)
    return ops.transpose(future), ops.take(
        inputs.frame_weights(source, features[source]), time, axis=1
    )
