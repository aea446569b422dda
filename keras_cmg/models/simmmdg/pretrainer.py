"""SimMMDG (Dong et al., 2023): what modalities share and what is their own, in two halves."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Any

import keras
from keras import ops

from keras_cmg.layers.mlp import MLP
from keras_cmg.models.base import shared_presets as presets
from keras_cmg.models.base import terms
from keras_cmg.models.base.pretrainer import Pretrainer
from keras_cmg.models.base.registry import register_model
from keras_cmg.models.base.sequence_backbone import SequenceBackbone
from keras_cmg.ops import masking, supervised_contrastive


@keras.saving.register_keras_serializable("keras_cmg")
class SimMMDGBackbone(SequenceBackbone):
    """Encoders whose features split into a shared and a specific half; continuous, without codes.

    `encode` gives the shared half. The space has no codebook, so `codebook` is None, and what
    needs codes (TOC, `adapt_codebook`) is refused.

    Args:
        modalities: names.
        embedding_dim: width of each half; the encoders' outputs are twice as wide.
        **kwargs: the arguments of `SequenceBackbone`, without `num_embeddings` and `codebook`;
            layers in `encoders` return both halves, `(batch, frames, 2 * embedding_dim)`.

    Call arguments:
        inputs: a batch, as in `SequenceBackbone`.
        training: whether dropout acts.

    Returns:
        Dict of `"general"`, the shared halves, and `"specific"`, each modality to `(batch, frames,
        dim)`.

    Raises:
        ValueError: for settings of a codebook, a batch that misses a modality, or features of
            another shape than at first.

    Example:

    >>> backbone = keras_cmg.models.SimMMDGBackbone(("audio", "text"), embedding_dim=8)
    >>> features = backbone({"audio": np.zeros((2, 10, 128)), "text": np.zeros((2, 7, 64))})
    >>> tuple(features["general"]["audio"].shape), backbone.codebook is None
    ((2, 10, 8), True)

    References:
        Dong et al. (2023), SimMMDG: A Simple and Effective Framework for Multi-modal Domain
        Generalization (feature splitting).
    """

    def __init__(
        self,
        modalities: tuple[str, ...] = ("audio", "video", "text"),
        embedding_dim: int = 256,
        **kwargs,
    ):
        refused = sorted({"num_embeddings", "codebook"} & set(kwargs))
        if refused:
            raise ValueError(
                f"SimMMDG has no codebook: its features are continuous. Received: {refused}"
            )
        super().__init__(modalities, embedding_dim=embedding_dim, **kwargs)

    def make_quantizer(self):
        return None

    def general_encoder(self, name, shape, units=None):
        return super().general_encoder(name, shape, units or 2 * self.embedding_dim)

    def call(self, inputs, training=False):
        self.check_inputs(inputs)
        masks = self.frame_masks(inputs)
        features: dict[str, dict[str, Any]] = {"general": {}, "specific": {}}
        for name in self.modalities:
            both = super().encode_frames(name, inputs[name], masks.get(name), training)
            features["general"][name], features["specific"][name] = ops.split(both, 2, axis=-1)
        return features

    def encode_frames(self, name, x, mask=None, training=False):
        """The shared half of every frame."""
        return super().encode_frames(name, x, mask, training)[..., : self.embedding_dim]

    def get_config(self):
        config = super().get_config()
        return {k: v for k, v in config.items() if k not in ("num_embeddings", "codebook")}


@register_model("simmmdg")
@keras.saving.register_keras_serializable("keras_cmg")
class SimMMDG(Pretrainer):
    """Shared halves attract, halves of one modality repel, modalities translate into one another.

    Terms, on the clips' mean features, with the parts of the method of Dong et al. (2023):

    - `contrastive`: supervised contrastive loss on the shared halves of all modalities and clips
      together: vectors of one class attract. With `labels` in the batch, clips that share an event
      are of one class; without, each clip is a class of its own, so that its modalities attract
      (the published protocol for unlabelled pre-training is left open);
    - `distance`: minus the squared distance between the shared and the specific half of each
      modality (the distance loss), the mean over modalities. As published it has no lower bound;
      `normalized_distance` takes unit vectors, where it has one;
    - `translation`: squared error of a perceptron that translates one modality's whole feature into
      another's, the mean over ordered pairs (the cross-modal translation module).

    The paper's classification loss needs labels of a fixed set of classes and is left to the
    probes.

    Args:
        backbone: a `SimMMDGBackbone`, or a tuple of modalities for the preset `"small"`.
        loss_weights: term to weight; 1 where none is given, 0 leaves a term out of the program.
        temperature: of the contrastive term.
        normalized_distance: see above.
        mlp_units: width of the perceptrons' hidden layer; default that of their output.
        use_labels: use `labels` where a batch has them.
        **kwargs: the arguments of every Keras model.

    Call arguments:
        inputs: a batch, see `SequenceBackbone`; optionally `labels`, `(batch, frames, classes +
            1)`, multi-hot, the last column background.
        training: whether dropout acts.

    Returns:
        The features of `SimMMDGBackbone`.

    Raises:
        ValueError: for a single modality, unknown terms, or a temperature that is not positive.

    Example:

    >>> model = keras_cmg.models.SimMMDG.from_preset("small", modalities=("audio", "text"))
    >>> model.loss_names
    ('contrastive', 'distance', 'translation')

    References:
        Dong et al. (2023), SimMMDG: A Simple and Effective Framework for Multi-modal Domain
        Generalization; Khosla et al. (2020), Supervised Contrastive Learning.
    """

    backbone_class = SimMMDGBackbone
    presets = presets.presets(
        # The defaults of the authors' code.
        {"loss_weights": {"contrastive": 3.0, "distance": 0.7, "translation": 0.1}},
        {"normalized_distance": True},
        without=("num_embeddings", "codebook"),
    )

    def __init__(
        self,
        backbone: Any,
        loss_weights: Mapping[str, float] | None = None,
        temperature: float = 0.1,
        normalized_distance: bool = False,
        mlp_units: int | None = None,
        use_labels: bool = True,
        **kwargs,
    ):
        if not isinstance(backbone, SimMMDGBackbone):
            backbone = self.default_backbone(backbone)
        super().__init__(backbone, **kwargs)
        self.require_several_modalities()
        if temperature <= 0:
            raise ValueError(f"`temperature` must be positive. Received: {temperature}")
        self.temperature = temperature
        self.normalized_distance = normalized_distance
        self.mlp_units = mlp_units
        self.use_labels = use_labels
        self.weigh(("contrastive", "distance", "translation"), loss_weights)
        self.create_trackers()

    def build(self, input_shape: Mapping[str, Any]) -> None:
        self.build_backbone(input_shape)
        width = 2 * self.backbone.embedding_dim
        self.mlps = {}
        pairs = permutations(self.backbone.modalities, 2)
        for source, target in pairs if "translation" in self.loss_names else ():
            layer = MLP(
                width,
                self.mlp_units,
                dtype=self.dtype_policy,
                name=f"{source}_to_{target}",
            )
            layer.build((None, width))
            self.mlps[f"{source}->{target}"] = layer
        self.built = True

    def contrastive_loss(self, x, features):
        """Supervised contrast over the clips of all modalities."""
        masks = self.backbone.frame_masks(x)
        clips = terms.clip_features(features["general"], masks)
        batch = ops.shape(next(iter(clips.values())))[0]
        if self.use_labels and "labels" in x:
            positives = supervised_contrastive.same_event(x["labels"])
        else:
            positives = ops.eye(batch, dtype="float32")
        count = len(clips)
        return supervised_contrastive.supervised_contrastive_loss(
            terms.stacked(list(clips.values())),
            ops.tile(positives, (count, count)),
            self.temperature,
            terms.stacked_weights(masks, clips),
        )

    def distance_loss(self, x, features):
        """Minus the distance between the halves."""
        masks = self.backbone.frame_masks(x)
        shared = terms.clip_features(features["general"], masks)
        specific = terms.clip_features(features["specific"], masks)
        weights = terms.level_weights(masks, shared)
        losses = [
            supervised_contrastive.distance_loss(
                shared[name], specific[name], weights.get(name), self.normalized_distance
            )
            for name in shared
        ]
        return sum(losses) / len(losses)

    def translation_loss(self, x, features):
        """Squared error of the translations."""
        masks = self.backbone.frame_masks(x)
        shared = terms.clip_features(features["general"], masks)
        specific = terms.clip_features(features["specific"], masks)
        whole = {name: ops.concatenate([shared[name], specific[name]], axis=-1) for name in shared}
        losses = []
        for pair, translator in self.mlps.items():
            source, target = pair.split("->")
            present = masking.pair_presence(masks, source, target, ops.shape(whole[source])[0])
            weights = None if present is None else present[0] * present[1]
            translated = terms.full_precision(self, translator(whole[source]))
            # Not `terms.mean_squared_error`: clips here are those of all replicas already.
            errors = ops.mean(ops.square(whole[target] - translated), axis=-1)
            losses.append(masking.weighted_mean(errors, weights))
        return sum(losses) / len(losses)

    def get_config(self):
        names = "temperature normalized_distance mlp_units use_labels".split()
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "loss_weights": self.given_weights,
        }
