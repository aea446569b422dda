"""SimMMDG (Dong et al., 2023): features split into a shared and a specific half."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Any

import keras
from keras import ops

from keras_cmg.layers.arguments import require_positive
from keras_cmg.layers.mlp import MLP
from keras_cmg.models.base.pretrainer import Pretrainer
from keras_cmg.models.base.registry import register_model
from keras_cmg.models.simmmdg import presets
from keras_cmg.models.simmmdg.backbone import SimMMDGBackbone
from keras_cmg.ops import masking, supervised_contrastive


@register_model("simmmdg")
@keras.saving.register_keras_serializable("keras_cmg")
class SimMMDG(Pretrainer):
    """Feature splitting: contrast of shared halves, distance between halves, and translation.

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
        backbone: a `SimMMDGBackbone`, or a tuple of modalities for that of the preset `"small"`.
        loss_weights: term to weight, default 1; a term of weight 0 is not computed.
        temperature: of the contrastive term.
        normalized_distance: see above.
        mlp_units: width of the perceptrons' hidden layer; default that of their output.
        use_labels: use `labels` where a batch has them.
        **kwargs: the arguments of every Keras model.

    Call arguments:
        inputs: a batch, see `SequenceBackbone`; optionally `labels`, `(batch, frames, classes +
            1)`, multi-hot, the last column background.
        training: whether dropout is active.

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
    code_logs = ()
    presets = presets.PRESETS

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
        super().__init__(backbone, **kwargs)
        self.require_several_modalities()
        require_positive(temperature=temperature)
        self.temperature = temperature
        self.normalized_distance = normalized_distance
        self.mlp_units = mlp_units
        self.use_labels = use_labels
        self.set_loss_weights(loss_weights)
        self.mlps: dict[str, Any] = {}

    def default_loss_weights(self):
        return dict.fromkeys(("contrastive", "distance", "translation"), 1.0)

    def build_layers(self):
        width = 2 * self.backbone.embedding_dim
        pairs = permutations(self.backbone.modalities, 2)
        for source, target in pairs if "translation" in self.loss_names else ():
            layer = MLP(
                width, self.mlp_units, dtype=self.dtype_policy, name=f"{source}_to_{target}"
            )
            layer.build((None, width))
            self.mlps[f"{source}->{target}"] = layer

    def contrastive_loss(self, inputs):
        """Supervised contrast over the clips of all modalities."""
        clips = inputs.clip_features(inputs.features["general"])
        if self.use_labels and "labels" in inputs.batch:
            positives = supervised_contrastive.same_event(inputs.batch["labels"])
        else:
            batch = ops.shape(next(iter(clips.values())))[0]
            positives = ops.eye(batch, dtype="float32")
        return supervised_contrastive.supervised_contrastive_loss(
            inputs.stack(clips),
            ops.tile(positives, (len(clips), len(clips))),
            self.temperature,
            inputs.stacked_weights(clips),
        )

    def distance_loss(self, inputs):
        """Minus the distance between the halves."""
        shared = inputs.clip_features(inputs.features["general"])
        specific = inputs.clip_features(inputs.features["specific"])
        weights = inputs.weights(shared)
        losses = [
            supervised_contrastive.distance_loss(
                shared[name], specific[name], weights.get(name), self.normalized_distance
            )
            for name in shared
        ]
        return sum(losses) / len(losses)

    def translation_loss(self, inputs):
        """Squared error of the translations."""
        shared = inputs.clip_features(inputs.features["general"])
        specific = inputs.clip_features(inputs.features["specific"])
        whole = {name: ops.concatenate([shared[name], specific[name]], axis=-1) for name in shared}
        losses = []
        for pair, translator in self.mlps.items():
            source, target = pair.split("->")
            weights = inputs.pair_weights(source, target, whole[source])
            translated = self._full_precision(translator(whole[source]))
            # Not `squared_error`: clips here are those of all replicas already.
            errors = ops.mean(ops.square(whole[target] - translated), axis=-1)
            losses.append(masking.weighted_mean(errors, weights))
        return sum(losses) / len(losses)

    def get_config(self):
        names = "temperature normalized_distance mlp_units use_labels".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
