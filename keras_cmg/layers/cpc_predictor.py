"""Contrastive predictive coding across modalities."""

from __future__ import annotations

from collections.abc import Mapping

import keras
from keras import ops

from keras_cmg.layers.split_bias_lstm_cell import SplitBiasLSTMCell
from keras_cmg.ops import contrastive
from keras_cmg.types import Tensor


@keras.saving.register_keras_serializable("keras_cmg")
class CPCPredictor(keras.layers.Layer):
    """Logits of every cross-modal prediction `source -> target` of the steps after a time t.

    Each modality's features up to t pass through its own recurrent network; linear maps W_r
    predict step t + r of each modality. The network is causal, so the whole sequence runs and the
    context is read off at t: one program for every t.

    Args:
        units: width of the recurrent network.
        num_layers: recurrent layers (the paper 1, the authors' code 2).
        num_prediction_steps: how many steps ahead are predicted, the paper's R.
        split_biases: two bias vectors that are added, as in PyTorch's LSTM; they train at twice
            the pace of one. Kept for parity.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        features: dict of modality to float tensor `(batch, frames, dim)`.
        time: int32 scalar, last observed frame, `0 <= time < frames - num_prediction_steps`.

    Returns:
        Dict of `"source->target"` to float tensor `(steps, batch, batch)`: rows are the targets'
        clips, columns the predicting clips. `"audio->audio"` is the self-prediction.

    Raises:
        ValueError: if clips have too few frames for the steps ahead.

    Example:

    >>> cpc = keras_cmg.layers.CPCPredictor(units=4)
    >>> x = {"audio": np.zeros((3, 10, 5), "float32"), "video": np.zeros((3, 10, 5), "float32")}
    >>> logits = cpc(x, time=4)
    >>> sorted(logits)
    ['audio->audio', 'audio->video', 'video->audio', 'video->video']
    >>> tuple(logits["audio->video"].shape)
    (1, 3, 3)

    References:
        van den Oord et al. (2018), Representation Learning with Contrastive Predictive Coding;
        Xia et al. (2023), whose prediction crosses modalities.
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
        for name, value in (
            ("units", units),
            ("num_layers", num_layers),
            ("num_prediction_steps", num_prediction_steps),
        ):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {value}")
        self.units = units
        self.num_layers = num_layers
        self.num_prediction_steps = num_prediction_steps
        self.split_biases = split_biases

    def build(self, features_shape):
        self.contexts, self.predictors = {}, {}
        for name, shape in features_shape.items():
            if shape[1] is not None and shape[1] <= self.num_prediction_steps:
                raise ValueError(
                    f"Predicting {self.num_prediction_steps} steps ahead needs more frames than "
                    f"that. Received {name!r} with shape {tuple(shape)}."
                )
            self.contexts[name] = [
                self._recurrent(f"{name}_context_{i}") for i in range(self.num_layers)
            ]
            widths = [shape[-1]] + [self.units] * (self.num_layers - 1)
            for layer, width in zip(self.contexts[name], widths, strict=True):
                layer.build((*shape[:-1], width))
            self.predictors[name] = [
                keras.layers.Dense(shape[-1], dtype=self.dtype_policy, name=f"{name}_step_{r + 1}")
                for r in range(self.num_prediction_steps)
            ]
            for layer in self.predictors[name]:
                layer.build((shape[0], self.units))
        self.built = True

    def _recurrent(self, name):
        if self.split_biases:
            cell = SplitBiasLSTMCell(self.units, dtype=self.dtype_policy)
            return keras.layers.RNN(cell, return_sequences=True, dtype=self.dtype_policy, name=name)
        return keras.layers.LSTM(
            self.units, return_sequences=True, dtype=self.dtype_policy, name=name
        )

    def context(self, modality: str, features: Tensor, time: Tensor) -> Tensor:
        """What the recurrent network knows after frame `time`.

        Args:
            modality: name of the modality.
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
