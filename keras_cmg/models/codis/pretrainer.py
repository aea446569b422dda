"""CODIS (Duan et al., 2022): distillation between modalities over a codebook."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_cmg.layers.arguments import require_positive
from keras_cmg.layers.momentum_teacher import MomentumTeacher
from keras_cmg.models.base.alignment_pretrainer import AlignmentPretrainer
from keras_cmg.models.base.registry import register_model
from keras_cmg.models.codis import presets
from keras_cmg.models.codis.backbone import CODISBackbone
from keras_cmg.ops import code_prediction, contrastive, optimal_transport


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
    - `infonce`: contrast of the students' clips with the teachers' clips, of the other modalities
      and, with `intra_modal`, of their own (cross-modal and unimodal contrast).

    Matching of image and text and masked language modelling, the paper's other losses, need
    encoders that see both modalities at once. Ours: assignments are made for every frame, since
    codes are per frame here; the paper has one vector per image and sentence. Where two modalities
    have different frames, the teacher's mean assignment over the clip is the target of every frame.
    There is no queue: the batch's own clips are the candidates. Sinkhorn takes the place of the
    paper's IPOT iterations, with the same marginals: every frame and every prototype weighs alike.

    Args:
        backbone: a `CODISBackbone`, or a tuple of modalities for that of the preset `"small"`.
        momentum: share of the teacher that stays at each step.
        code_temperature: of the students' softmax over prototypes.
        transport_temperature: of Sinkhorn, the weight of the plan's entropy.
        sinkhorn_iterations: of Sinkhorn.
        intra_modal: contrast with the teacher of the same modality as well.
        **kwargs: the arguments of `AlignmentPretrainer`; those of commitment have no effect.

    Call arguments:
        inputs: a batch, see `SequenceBackbone`.
        training: whether dropout is active and the teacher is updated, but for the averages of
            frozen encoders; with `teacher.trainable = False`, all of them stay.

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
    presets = presets.PRESETS

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
        require_positive(
            code_temperature=code_temperature, transport_temperature=transport_temperature
        )
        self.momentum = momentum
        self.code_temperature = code_temperature
        self.transport_temperature = transport_temperature
        self.sinkhorn_iterations = sinkhorn_iterations
        self.intra_modal = intra_modal
        self.teacher = MomentumTeacher(momentum, dtype=self.dtype_policy, name="teacher")

    def default_loss_weights(self):
        return dict.fromkeys(("codes", "transport", "infonce"), 1.0)

    def build_layers(self):
        encoders = self.backbone.general_encoders
        self.teacher.follow([encoders[name] for name in self.backbone.modalities])

    def call(self, inputs, training=False):
        if training:
            self.teacher.update()
        features = self.backbone(inputs, training=training)
        inputs, masks = self.backbone.prepare_inputs(inputs)
        taught = self.teacher.run(lambda: self.backbone.encode_all(inputs, masks))
        return {**features, "teacher": {m: ops.stop_gradient(x) for m, x in taught.items()}}

    def transport_loss(self, inputs):
        """Cost of the teachers' plans, the mean over modalities."""
        teachers = inputs.features["teacher"].items()
        costs = [
            optimal_transport.transport_cost(*self._plan(inputs, name, x)) for name, x in teachers
        ]
        return sum(costs) / len(costs)

    def codes_loss(self, inputs):
        """Cross-entropy of the students' codes with the assignments of the other teachers."""
        general, teachers = inputs.features["general"], inputs.features["teacher"]
        weights = inputs.weights(general)
        similarities = {m: self.backbone.quantizer.similarities(x) for m, x in general.items()}
        assigned = {}
        for name, value in similarities.items():
            plan, _ = self._plan(inputs, name, teachers[name])
            targets = optimal_transport.assignments(ops.stop_gradient(plan))
            assigned[name] = ops.reshape(targets, ops.shape(value))
        return code_prediction.code_prediction_loss(
            similarities, assigned, self.code_temperature, weights
        )

    def _plan(self, inputs, name, features):
        """Transport plan between a teacher's frames and the prototypes, and the similarities."""
        similarities = self.backbone.quantizer.similarities(features)
        similarities = ops.reshape(similarities, (-1, self.backbone.num_embeddings))
        weights = None
        if name in inputs.masks:
            weights = ops.reshape(inputs.frame_weights(name, features), (-1,))
        plan = optimal_transport.sinkhorn(
            ops.stop_gradient(similarities),
            self.transport_temperature,
            self.sinkhorn_iterations,
            weights,
        )
        return plan, similarities

    def infonce_loss(self, inputs):
        """InfoNCE of the students' clips among the teachers' clips."""
        students = inputs.clip_features(inputs.features["general"])
        teachers = inputs.clip_features(inputs.features["teacher"])
        losses = [
            contrastive.info_nce(
                students[a],
                teachers[b],
                self.temperature,
                self.symmetric,
                inputs.pair_presence(a, b, students[a]),
            )
            for a in students
            for b in teachers
            if a != b or self.intra_modal
        ]
        return sum(losses) / 2

    def get_config(self):
        names = (
            "momentum code_temperature transport_temperature sinkhorn_iterations intra_modal"
        ).split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
