"""Contrastive predictive coding across modalities."""

from __future__ import annotations

from collections.abc import Mapping

import keras
from keras import ops

from keras_cmg.layers.arguments import require_sizes
from keras_cmg.layers.precision import variable_dtype
from keras_cmg.layers.split_bias_lstm_cell import SplitBiasLSTMCell
from keras_cmg.ops import contrastive
from keras_cmg.types import Tensor


@keras.saving.register_keras_serializable("keras_cmg")
class CPCPredictor(keras.layers.Layer):
    """Computes the logits of contrastive predictions of each modality from each other one.

    A recurrent network per modality encodes the features up to a time t, and linear maps W_r
    predict step t + r of every modality. The network is causal: it runs over the whole sequence and
    its output is read at t, so that one compiled program serves every t.

    Masks: none are read. The caller chooses a `time` for which frames are valid, and passes the
    presence of clips to `keras_cmg.ops.cpc_loss`.

    Args:
        units: int, width of the recurrent network.
        num_layers: int, recurrent layers (the paper 1, the authors' code 2).
        num_prediction_steps: int, steps ahead that are predicted, the paper's R.
        split_biases: bool, whether the recurrent layers have two bias vectors that are added, as in
            PyTorch; see `SplitBiasLSTMCell`.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        features: dict of modality to float tensor `(batch, frames, dim)`.
        time: int32 scalar, index of the last observed frame, `0 <= time < frames -
            num_prediction_steps`.

    Returns:
        Dict of `"source->target"` to float tensor `(steps, batch, batch)`: rows are the targets'
        clips, columns the predicting clips. `"audio->audio"` is the prediction within a modality.

    Raises:
        ValueError: if a size is below 1, modalities differ in width, or clips have too few frames.

    Example:

    >>> cpc = keras_cmg.layers.CPCPredictor(units=4)
    >>> x = {"audio": np.zeros((3, 10, 5), "float32"), "video": np.zeros((3, 10, 5), "float32")}
    >>> logits = cpc(x, time=4)
    >>> sorted(logits)
    ['audio->audio', 'audio->video', 'video->audio', 'video->video']
    >>> tuple(logits["audio->video"].shape)
    (1, 3, 3)

    References:
        van den Oord et al. (2018), Representation Learning with Contrastive Predictive Coding,
        Eq. 3; Xia et al. (2023), Achieving Cross Modal Generalization with Multimodal Unified
        Representation, which predicts across modalities.
    """

    def __init__(
        self,
        units: int = 256,
        num_layers: int = 1,
        num_prediction_steps: int = 1,
        split_biases: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        require_sizes(units=units, num_layers=num_layers, num_prediction_steps=num_prediction_steps)
        self.units = units
        self.num_layers = num_layers
        self.num_prediction_steps = num_prediction_steps
        self.split_biases = split_biases

    def build(self, features_shape):
        self.contexts, self.predictors = {}, {}
        widths = {name: shape[-1] for name, shape in features_shape.items()}
        if len(set(widths.values())) > 1:
            raise ValueError(
                f"{self.name}: features of all modalities must have the same width. "
                f"Received: {widths}"
            )
        for name, shape in features_shape.items():
            if shape[1] is not None and shape[1] <= self.num_prediction_steps:
                raise ValueError(
                    f"{name!r} must have more frames than the {self.num_prediction_steps} steps "
                    f"that are predicted. Received shape {tuple(shape)}."
                )
            self.contexts[name] = [
                self._recurrent(f"{name}_context_{i}") for i in range(self.num_layers)
            ]
            inner = [shape[-1]] + [self.units] * (self.num_layers - 1)
            for layer, width in zip(self.contexts[name], inner, strict=True):
                layer.build((*shape[:-1], width))
            self.predictors[name] = [
                keras.layers.Dense(shape[-1], dtype=self.dtype_policy, name=f"{name}_step_{r + 1}")
                for r in range(self.num_prediction_steps)
            ]
            for layer in self.predictors[name]:
                layer.build((shape[0], self.units))
        self.built = True

    def _recurrent(self, name):
        # Not in half precision: the fused LSTM of GPUs takes no bfloat16 on JAX.
        dtype = variable_dtype(self.dtype_policy)
        if self.split_biases:
            cell = SplitBiasLSTMCell(self.units, dtype=dtype)
            return keras.layers.RNN(cell, return_sequences=True, dtype=dtype, name=name)
        return keras.layers.LSTM(self.units, return_sequences=True, dtype=dtype, name=name)

    def context(self, modality: str, features: Tensor, time: Tensor) -> Tensor:
        """Computes the output of the recurrent network after frame `time`.

        Args:
            modality: str, name of the modality.
            features: float tensor `(batch, frames, dim)`.
            time: int32 scalar.

        Returns:
            Float tensor `(batch, units)`.

        Example:

        >>> cpc = keras_cmg.layers.CPCPredictor(units=4)
        >>> _ = cpc({"audio": np.zeros((3, 5, 2), "float32")}, time=1)
        >>> tuple(cpc.context("audio", np.zeros((3, 5, 2), "float32"), 1).shape)
        (3, 4)
        """
        for layer in self.contexts[modality]:
            features = layer(features)
        return ops.take(features, time, axis=1)

    def call(self, features: Mapping[str, Tensor], time: Tensor):
        steps = ops.arange(1, self.num_prediction_steps + 1, dtype="int32")
        time = ops.cast(time, "int32")
        targets = {
            name: ops.transpose(ops.take(x, time + steps, axis=1), (1, 0, 2))
            for name, x in features.items()
        }
        logits = {}
        for source, x in features.items():
            context = self.context(source, x, time)
            predictions = ops.stack([layer(context) for layer in self.predictors[source]])
            for target, future in targets.items():
                logits[f"{source}->{target}"] = contrastive.prediction_logits(future, predictions)
        return logits

    def get_config(self):
        names = "units num_layers num_prediction_steps split_biases".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
