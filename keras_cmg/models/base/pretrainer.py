"""Trains a backbone without labels; gone when training is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import keras

from keras_cmg.models.base.backbone import CrossModalBackbone
from keras_cmg.models.base.presets import Presets, merged, named
from keras_cmg.models.base.terms import full_precision
from keras_cmg.models.base.trainer import Trainer
from keras_cmg.types import Tensor


class Pretrainer(Trainer):
    """Trains a backbone without labels: `compile`, `fit`, save, load and go on.

    Subclasses name their terms in `weigh`, once their settings are known, and define each term as a
    method `<term>_loss(x, features)`, or `main_losses` as a whole; with estimators also
    `estimator_loss`, `is_estimator` and `estimator_steps`. `log_keys` lists what they log.
    `backbone_class` and `presets` give them `from_preset`.

    Args:
        backbone: a `CrossModalBackbone`.
        **kwargs: the arguments of every Keras model.

    Example:

    >>> isinstance(keras_cmg.models.FCID(("audio", "video")), keras_cmg.models.Pretrainer)
    True
    """

    backbone_class: ClassVar[type[CrossModalBackbone]]
    presets: ClassVar[Presets] = {}
    """Named settings: `"backbone"`, arguments of the backbone, and `"objective"`, of this class."""
    default_preset: ClassVar[str] = "small"
    """The preset where none is named."""

    def __init__(self, backbone: CrossModalBackbone, **kwargs):
        super().__init__(**kwargs)
        self.backbone = backbone
        self.trackers: dict[str, keras.metrics.Mean] = {}
        self.weights_of: dict[str, float] = {}

    @classmethod
    def from_preset(
        cls,
        name: str | None = None,
        modalities: tuple[str, ...] | None = None,
        seed: int = 0,
        backbone: Mapping[str, Any] | None = None,
        **overrides,
    ) -> Self:
        """A pretrainer with a backbone of named settings.

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
            ValueError: for an unknown preset, or unknown switches.

        Example:

        >>> model = keras_cmg.models.FCID.from_preset("paper", loss_weights={"club_text": 0.0})
        >>> model.weights_of["club_text"], model.weights_of["cpc"]
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
    def default_backbone(cls, modalities: tuple[str, ...]) -> CrossModalBackbone:
        """The backbone of the preset `"small"`, for those who give modalities alone.

        Args:
            modalities: names.

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
        settings = named(cls.presets, "small")["backbone"]
        return cls.backbone_class(**{**settings, "modalities": tuple(modalities)})

    def require_several_modalities(self) -> None:
        """Refuses a single modality, for systems that learn from pairs alone.

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

    # What the loss is made of.

    def weigh(
        self,
        terms: tuple[str, ...],
        loss_weights: Mapping[str, float] | None = None,
        defaults: Mapping[str, float] | None = None,
        also_known: tuple[str, ...] = (),
    ) -> None:
        """Gives each term of the loss its weight.

        Args:
            terms: names of the terms.
            loss_weights: term to weight, as the user asks.
            defaults: term to weight where the user asks for none; 1 for the rest.
            also_known: names that may be given a weight although they do not apply here.

        Raises:
            ValueError: for a weight of an unknown term.

        Example:

        >>> model = keras_cmg.models.FCID(("audio",))
        >>> model.weigh(("commitment",), {"commitment": 2.0})
        >>> model.weights_of
        {'commitment': 2.0}
        """
        self.given_weights = dict(loss_weights or {})
        known = tuple(dict.fromkeys((*also_known, *terms)))
        unknown = sorted(set(self.given_weights) - set(known))
        if unknown:
            raise ValueError(f"`loss_weights` must name terms of {known}. Received: {unknown}")
        defaults = defaults or {}
        self.weights_of = {
            term: float(self.given_weights.get(term, defaults.get(term, 1.0))) for term in terms
        }

    @property
    def loss_names(self) -> tuple[str, ...]:
        """The terms with a weight other than zero."""
        return tuple(term for term, weight in self.weights_of.items() if weight)

    @property
    def log_keys(self) -> tuple[str, ...]:
        """Keys of the logs of a training step, without `"loss"`: the terms, unless overridden."""
        return self.loss_names

    def main_losses(self, x, features, training):
        features = keras.tree.map_structure(lambda v: full_precision(self, v), features)
        losses = {name: getattr(self, f"{name}_loss")(x, features) for name in self.loss_names}
        return {"loss": self.total(losses), **losses, **self.extra_logs(x, features)}

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of the terms.

        Args:
            losses: term to scalar.

        Returns:
            Scalar.

        Example:

        >>> model = keras_cmg.models.FCID(("audio",), loss_weights={"commitment": 2.0})
        >>> model.total({"commitment": 1.5})
        3.0
        """
        return sum((self.weights_of[name] * value for name, value in losses.items()), 0.0)

    def extra_logs(self, x: Mapping[str, Any], features: Any) -> dict[str, Tensor]:
        """What is logged beside the terms: nothing, unless a subclass says so.

        Args:
            x: the batch.
            features: output of the model, in full precision.

        Returns:
            Log key to scalar.

        Example:

        >>> keras_cmg.models.Pretrainer.extra_logs(None, {}, {})
        {}
        """
        return {}

    def build(self, input_shape: Mapping[str, Any]) -> None:
        self.build_backbone(input_shape)
        self.built = True

    def build_backbone(self, input_shape: Mapping[str, Any]) -> None:
        """Builds the backbone, unless it is; the first thing a pretrainer's `build` does.

        Args:
            input_shape: modality to shape; other entries of a batch are left alone.

        Example:

        >>> model = keras_cmg.models.FCID(("audio",))
        >>> model.build_backbone({"audio": (None, 10, 128), "labels": (None, 10, 3)})
        >>> model.backbone.built
        True
        """
        backbone = self.backbone
        if not backbone.built:
            backbone.build({m: input_shape[m] for m in backbone.modalities if m in input_shape})

    @property
    def replica_entries(self) -> tuple[str, ...]:  # type: ignore[override]
        """What stays on its replica, see `PhasedObjective`: the codes, the modalities themselves.

        A term that works on the modalities takes them, and its features, from
        `keras_cmg.backend.replicas.own`, and its mean by `keras_cmg.backend.engine.global_mean`.
        """
        return ("codebook", *self.backbone.modalities)

    def create_trackers(self) -> None:
        """One running mean per log key; to be called once the keys are known.

        Example:

        >>> sorted(keras_cmg.models.FCID(("audio", "video")).trackers)[:2]
        ['club_audio', 'club_audio_nll']
        """
        self.trackers = {key: keras.metrics.Mean(name=key) for key in self.log_keys}

    def call(self, inputs, training=False):
        return self.backbone(inputs, training=training)

    def get_build_config(self):
        return self.backbone.get_build_config()

    def build_from_config(self, config):
        if config:
            self.build({m: tuple(shape) for m, shape in config["input_shape"].items()})

    def get_config(self):
        config = super().get_config()
        return {**config, "backbone": keras.saving.serialize_keras_object(self.backbone)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("backbone")), **config)
