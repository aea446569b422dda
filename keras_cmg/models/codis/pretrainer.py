"""CODIS (Duan et al., 2022): a teacher of one modality tells the student of another its code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.layers.momentum_teacher import MomentumTeacher
from keras_cmg.layers.quantizers.prototypes import Prototypes
from keras_cmg.models.base import shared_presets as presets
from keras_cmg.models.base import terms
from keras_cmg.models.base.alignment_pretrainer import AlignmentPretrainer
from keras_cmg.models.base.registry import register_model
from keras_cmg.models.base.sequence_backbone import SequenceBackbone
from keras_cmg.ops import contrastive, masking, optimal_transport
from keras_cmg.ops.quantization import as_frames_of


@keras.saving.register_keras_serializable("keras_cmg")
class CODISBackbone(SequenceBackbone):
    """General encoders and prototypes that are learned by gradient; the part that is kept.

    General features are used at unit length, and prototypes are too, so that the nearest prototype
    is the most similar one.

    Args:
        modalities: names.
        **kwargs: the arguments of `SequenceBackbone`; `codebook` holds arguments of `Prototypes`.

    Call arguments:
        inputs: a batch, as in `SequenceBackbone`.
        training: whether dropout acts.

    Returns:
        As `SequenceBackbone`, with features of unit length.

    Raises:
        ValueError: for a batch that misses a modality, or features of another shape than at first.

    Example:

    >>> backbone = keras_cmg.models.CODISBackbone(("audio", "text"), num_embeddings=8)
    >>> features = backbone({"audio": np.zeros((2, 10, 128)), "text": np.zeros((2, 7, 64))})
    >>> tuple(features["codes"]["audio"].shape)
    (2, 10, 256)

    References:
        Duan et al. (2022), Multi-modal Alignment using Representation Codebook (the codebook).
    """

    def __init__(self, modalities: tuple[str, ...] = ("audio", "video", "text"), **kwargs):
        super().__init__(modalities, **kwargs)

    def make_quantizer(self):
        return Prototypes(
            self.num_embeddings,
            self.embedding_dim,
            seed=self.seed,
            dtype=self.dtype_policy,
            name="codebook",
            **self.settings["codebook"],
        )

    def encode_frames(self, name, x, mask=None, training=False):
        return contrastive.l2_normalize(super().encode_frames(name, x, mask, training))

    def general_features(self, modality, x, level, mask=None):
        general = super().general_features(modality, x, level, mask)
        return general if level == "segment" else contrastive.l2_normalize(general)


@register_model("codis")
@keras.saving.register_keras_serializable("keras_cmg")
class CODIS(AlignmentPretrainer):
    """Teacher-student distillation over a codebook, by optimal transport.

    Each modality has a student, its encoder, and a momentum teacher of it. Terms, with the parts
    of the method of Duan et al. (2022):

    - `codes`: the student's distribution over prototypes, a softmax of cosine similarities, learns
      the assignment of the other modalities' teachers (the teacher of one view guides the student
      of the other). A teacher's assignment is the transport plan between its features and the
      prototypes, by Sinkhorn;
    - `transport`: what these plans cost, `1 - cosine`; moves the prototypes to the teachers'
      features (the optimal-transport assignment, which optimizes the cluster centers);
    - `infonce`: students' clips find their own clip among the teachers' clips, of the other
      modalities and, with `intra_modal`, of their own (cross-modal and unimodal contrast).

    Matching of image and text and masked language modelling, the paper's other losses, need
    encoders that see both modalities at once. Ours: assignments are made for every frame, since
    codes are per frame here; the paper has one vector per image and sentence. Where two modalities
    have different frames, the teacher's mean assignment over the clip is the target of every frame.
    There is no queue: the batch's own clips are the candidates. Sinkhorn takes the place of the
    paper's IPOT iterations, with the same marginals: every frame and every prototype weighs alike.

    Args:
        backbone: a `CODISBackbone`, or a tuple of modalities for the preset `"small"`.
        momentum: share of the teacher that stays at each step.
        code_temperature: of the students' softmax over prototypes.
        transport_temperature: of Sinkhorn, the weight of the plan's entropy.
        sinkhorn_iterations: of Sinkhorn.
        intra_modal: contrast with the teacher of the same modality as well.
        **kwargs: the arguments of `AlignmentPretrainer`; those of commitment have no effect.

    Call arguments:
        inputs: a batch, see `SequenceBackbone`.
        training: whether dropout acts and the teacher moves.

    Returns:
        The features of `CODISBackbone`, and `"teacher"`, modality to the teacher's features.

    Raises:
        ValueError: for temperatures that are not positive, a single modality or unknown terms.

    Example:

    >>> model = keras_cmg.models.CODIS.from_preset("small", modalities=("audio", "text"))
    >>> model.loss_names
    ('codes', 'transport', 'infonce')

    References:
        Duan et al. (2022), Multi-modal Alignment using Representation Codebook.
    """

    backbone_class = CODISBackbone
    presets = presets.presets(
        {"momentum": 0.995, "temperature": 0.07},
        {"momentum": 0.95, "temperature": 0.1},
        without=("codebook",),
    )

    def __init__(
        self,
        backbone: Any,
        momentum: float = 0.995,
        code_temperature: float = 0.1,
        transport_temperature: float = 0.05,
        sinkhorn_iterations: int = 5,
        intra_modal: bool = True,
        **kwargs,
    ):
        super().__init__(backbone, **kwargs)
        for name, value in (
            ("code_temperature", code_temperature),
            ("transport_temperature", transport_temperature),
        ):
            if value <= 0:
                raise ValueError(f"`{name}` must be positive. Received: {value}")
        self.code_temperature = code_temperature
        self.transport_temperature = transport_temperature
        self.sinkhorn_iterations = sinkhorn_iterations
        self.intra_modal = intra_modal
        self.teacher = MomentumTeacher(momentum, dtype=self.dtype_policy, name="teacher")

    def term_names(self):
        return ("codes", "transport", "infonce")

    def build(self, input_shape: Mapping[str, Any]) -> None:
        self.build_backbone(input_shape)
        self.teacher.follow([self.backbone.encoders[name] for name in self.backbone.modalities])
        self.built = True

    def call(self, inputs, training=False):
        if training:
            self.teacher.update()
        features = self.backbone(inputs, training=training)
        masks = self.backbone.frame_masks(inputs)
        taught = self.teacher.run(
            lambda: {
                name: self.backbone.encode_frames(name, inputs[name], masks.get(name))
                for name in self.backbone.modalities
            }
        )
        return {**features, "teacher": {m: ops.stop_gradient(x) for m, x in taught.items()}}

    def transport_loss(self, x, features):
        """Cost of the teachers' plans, the mean over modalities."""
        costs = []
        for name, value in features["teacher"].items():
            plan, similarities = self._plan(x, name, value)
            costs.append(optimal_transport.transport_cost(plan, similarities))
        return sum(costs) / len(costs)

    def codes_loss(self, x, features):
        """Cross-entropy of the students' codes with their partners' teachers' assignments."""
        masks = self.backbone.frame_masks(x)
        general = features["general"]
        log_p, assigned = {}, {}
        for name, value in general.items():
            scores = self.backbone.quantizer.similarities(value)
            log_p[name] = ops.log_softmax(scores / self.code_temperature, axis=-1)
            plan, _ = self._plan(x, name, features["teacher"][name])
            targets = optimal_transport.assignments(ops.stop_gradient(plan))
            assigned[name] = ops.reshape(targets, ops.shape(scores))
        weights = terms.level_weights(masks, general)
        losses = []
        for a, b in self.pairs():
            for student, teacher in ((a, b), (b, a)):
                target = as_frames_of(assigned[teacher], general[student], weights.get(teacher))
                entropies = -ops.sum(target * log_p[student], axis=-1)
                counts = weights.get(student)
                if teacher in weights:
                    present = masking.weights_like(masks[teacher], general[student])
                    counts = present if counts is None else counts * present
                losses.append(masking.weighted_mean(entropies, counts))
        return sum(losses) / 2

    def _plan(self, x, name, value):
        """Transport plan between a teacher's frames and the prototypes, and the similarities."""
        similarities = self.backbone.quantizer.similarities(value)
        similarities = ops.reshape(similarities, (-1, self.backbone.num_embeddings))
        masks = self.backbone.frame_masks(x)
        weights = None
        if name in masks:
            weights = masking.weights_like(masks[name], value)
            weights = ops.reshape(ops.broadcast_to(weights, ops.shape(value)[:2]), (-1,))
        plan = optimal_transport.sinkhorn(
            ops.stop_gradient(similarities),
            self.transport_temperature,
            self.sinkhorn_iterations,
            weights,
        )
        return plan, similarities

    def infonce_loss(self, x, features):
        """Students' clips find themselves among teachers' clips."""
        masks = self.backbone.frame_masks(x)
        students = terms.clip_features(features["general"], masks)
        teachers = terms.clip_features(features["teacher"], masks)
        losses = []
        for a in students:
            for b in teachers:
                if a == b and not self.intra_modal:
                    continue
                present = masking.pair_presence(masks, a, b, ops.shape(students[a])[0])
                losses.append(
                    contrastive.info_nce(
                        students[a], teachers[b], self.temperature, self.symmetric, present
                    )
                )
        return sum(losses) / 2

    def get_config(self):
        names = "code_temperature transport_temperature sinkhorn_iterations intra_modal".split()
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "momentum": self.teacher.momentum,
        }
