"""What the loss terms of one step are computed from: batch, features, masks and draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from keras import ops

from keras_cmg.backend import engine
from keras_cmg.ops.masking import mean_over_time, presence
from keras_cmg.types import Tensor

EstimatorPair = tuple[Tensor, Tensor, Tensor | None]
"""Two features that an estimator compares, and the weights of their samples."""


@dataclasses.dataclass(frozen=True, eq=False)
class StepInputs:
    """The arguments of every loss term in one step, worked out once.

    `Pretrainer.prepare_step` makes it after the forward pass. Where a batch is spread over several
    replicas, batch, features and masks are those of the global batch, and `own` has the replica's.

    Args:
        batch: the batch.
        features: output of the model on it, in full precision.
        masks: modality to float tensor `(batch, frames)` of zeros and ones; modalities without a
            mask are missing.
        training: whether this is a training step.
        step: int32 scalar, number of training steps before this one.
        code_tables: the codes before the step's update, `(num_embeddings, dim)`, one tensor for
            each index of a vector; empty for systems whose terms do not use them.
        added_losses: scalars that layers passed to `add_loss` in the forward pass.
        presence: modality to float tensor `(batch,)`: 1 for clips with a frame that counts.
            Computed from `masks` if None.
        similarity_blocks: `num_blocks` of InfoNCE in this step, see `keras_cmg.ops.info_nce`.
        estimator_pairs: term to what its estimator compares.
        replica: the same of this replica alone; None on a single device.

    Example:

    >>> features = {"general": {"audio": np.ones((2, 3, 4)), "text": np.ones((2, 4))}}
    >>> inputs = StepInputs({}, features, {"text": np.array([[1.0, 0.0], [0.0, 0.0]])})
    >>> {m: w.tolist() for m, w in inputs.weights(features["general"]).items()}
    {'text': [1.0, 0.0]}
    """

    batch: Mapping[str, Any]
    features: Mapping[str, Any]
    masks: Mapping[str, Tensor]
    training: bool = False
    step: Any = 0
    code_tables: tuple[Tensor, ...] = ()
    added_losses: tuple[Tensor, ...] = ()
    presence: Mapping[str, Tensor] = None  # type: ignore[assignment]
    estimator_pairs: Mapping[str, EstimatorPair] = dataclasses.field(default_factory=dict)
    similarity_blocks: int | None = None
    replica: StepInputs | None = None

    def __post_init__(self):
        if self.presence is None:
            clips = {name: presence(mask) for name, mask in self.masks.items()}
            object.__setattr__(self, "presence", clips)

    @property
    def own(self) -> StepInputs:
        """What this replica has of the global batch; the object itself on a single device."""
        return self.replica or self

    @property
    def draws(self) -> Mapping[str, Any]:
        """Values that take the place of random draws, from the batch's entry `"draws"`."""
        return self.batch.get("draws", {})

    @property
    def draw_counter(self) -> Any:
        """Counter of the random draws: the step in training, 0 in evaluation."""
        return self.step if self.training else ops.zeros((), dtype="int32")

    def weights(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Computes the weight of each vector of some features, per frame or per clip.

        Args:
            features: modality to `(batch, [frames,] dim)`.

        Returns:
            Modality to float tensor of zeros and ones, for those that have a mask: `(batch,
            frames)`, `(batch, 1)` for features of other frames than the mask, `(batch,)` for
            vectors.
        """
        return {m: self.weights_like(m, x) for m, x in features.items() if m in self.masks}

    def weights_like(self, modality: str, x: Tensor) -> Tensor:
        """Returns the mask of a modality at the level of any features.

        Args:
            modality: name of one with a mask.
            x: float tensor `(batch, [frames,] dim)`, of this modality or of another.

        Returns:
            Float tensor as from `weights`.
        """
        if len(x.shape) == 2:
            return self.presence[modality]
        if self.masks[modality].shape[1] == x.shape[1]:
            return self.masks[modality]
        return self.presence[modality][:, None]

    def frame_weights(self, modality: str, x: Tensor) -> Tensor:
        """Computes the weight of each frame; ones for a modality without a mask.

        Args:
            modality: name.
            x: its features, `(batch, frames, dim)`.

        Returns:
            Float tensor `(batch, frames)`.
        """
        shape = ops.shape(x)[:2]
        if modality not in self.masks:
            return ops.ones(shape, dtype="float32")
        return ops.broadcast_to(self.weights_like(modality, x), shape)

    def frame_weight_pair(self, features: Mapping[str, Tensor]) -> tuple[Tensor, ...] | None:
        """Computes the weights of the frames of two modalities.

        Args:
            features: both modalities to `(batch, frames, dim)`.

        Returns:
            Float tensors `(batch, frames)`; None if neither has a mask.
        """
        if not set(features) & set(self.masks):
            return None
        return tuple(self.frame_weights(name, x) for name, x in features.items())

    def pair_presence(self, a: str, b: str, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Returns which clips have each of two modalities.

        Args:
            a: name of a modality.
            b: name of another.
            x: any tensor with one row per clip.

        Returns:
            Two float tensors `(batch,)`; None if neither has a mask.
        """
        if a not in self.presence and b not in self.presence:
            return None
        first, second = (
            self.presence[m] if m in self.presence else ops.ones(ops.shape(x)[:1], dtype="float32")
            for m in (a, b)
        )
        return first, second

    def pair_weights(self, a: str, b: str, x: Tensor) -> Tensor | None:
        """Returns which clips have both of two modalities.

        Args:
            a: name of a modality.
            b: name of another.
            x: any tensor with one row per clip.

        Returns:
            Float tensor `(batch,)`; None if neither has a mask.
        """
        present = self.pair_presence(a, b, x)
        return None if present is None else present[0] * present[1]

    def clip_features(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Averages features over the frames that count.

        Args:
            features: modality to `(batch, [frames,] dim)`.

        Returns:
            Modality to `(batch, dim)`.
        """
        return {
            name: x if len(x.shape) == 2 else mean_over_time(x, self.masks.get(name))
            for name, x in features.items()
        }

    def stack(self, features: Mapping[str, Tensor]) -> Tensor:
        """Concatenates the features of several modalities along the batch.

        Args:
            features: modality to tensors whose shapes differ in the batch alone.

        Returns:
            Tensor `(modalities * batch, ...)`.
        """
        tensors = list(features.values())
        return tensors[0] if len(tensors) == 1 else ops.concatenate(tensors)

    def stacked_weights(self, features: Mapping[str, Tensor]) -> Tensor | None:
        """Computes the weights of `stack(features)`.

        Args:
            features: modality to `(batch, [frames,] dim)`.

        Returns:
            Float tensor `(modalities * batch, [frames])`; None if no modality has a mask.
        """
        weights = self.weights(features)
        if not weights:
            return None
        return self.stack(
            {
                m: weights[m] if m in weights else ops.ones(ops.shape(x)[:-1], dtype="float32")
                for m, x in features.items()
            }
        )

    def with_estimator_pairs(self, pairs: Mapping[str, EstimatorPair]) -> StepInputs:
        """Returns the same inputs with what the estimators compare.

        Args:
            pairs: term to two features and the weights of their samples.

        Returns:
            The object itself if there are none.
        """
        return dataclasses.replace(self, estimator_pairs=pairs) if pairs else self

    def stop_gradient(self) -> StepInputs:
        """Returns the inputs of the estimators' steps, without gradient to the features."""
        pairs = {
            term: (ops.stop_gradient(x), ops.stop_gradient(y), weights)
            for term, (x, y, weights) in self.estimator_pairs.items()
        }
        return dataclasses.replace(self, estimator_pairs=pairs)

    def gather(self, keep: Iterable[str] = ()) -> StepInputs:
        """Returns the inputs of the global batch, of all replicas together.

        Every loss then is that of the global batch, whatever it compares: it does not depend on the
        number of devices.

        Args:
            keep: entries of batch and features that are not sent to the other replicas.

        Returns:
            The object itself on a single device; else the gathered inputs, with gradients to
            every replica, whose `own` is this object.
        """
        if engine.current().num_replicas() == 1:
            return self
        keep = {*keep, "draws", *(f"{name}_mask" for name in self.masks)}
        batch, features, masks, clips = engine.global_batch(
            (
                {name: value for name, value in self.batch.items() if name not in keep},
                {name: value for name, value in self.features.items() if name not in keep},
                dict(self.masks),
                dict(self.presence),
            )
        )
        return dataclasses.replace(
            self,
            batch={**self.batch, **batch},
            features={**self.features, **features},
            masks=masks,
            presence=clips,
            replica=self,
        )
