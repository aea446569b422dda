"""CoDAAR (2026): a code for each modality, aligned in rows."""

from __future__ import annotations

import keras

from keras_cmg.layers.projected_decoder import ProjectedDecoder
from keras_cmg.layers.quantizers.aligned_codebook import AlignedCodebook
from keras_cmg.models.base.registry import register_model
from keras_cmg.models.codaar import presets
from keras_cmg.models.dcid import DCID, DCIDBackbone


@register_model("codaar")
@keras.saving.register_keras_serializable("keras_cmg")
class CoDAAR(DCID):
    """Modality-specific codes that are aligned row by row.

    Each modality has codes of its own; those of equal index belong together, and a frame is
    replaced by the whole row. `"quantized"` is therefore wider than `"general"`, by the number of
    modalities: the backbone's `code_dim`. The specific encoder of a feature map reads the map after
    the channel attention of the general one, and has batch normalisation.

    The loss is the weighted sum of `reconstruction` (of the input from rows and specific features),
    `commitment` (to the modality's own codes and those that its partners chose), `cpc` between all
    modalities, and `code_matching`, for which each modality is compared with its own codes. The
    codes of a row are brought together by the updates of the codebook, see `AlignedCodebook`.
    DCID's terms `club_<modality>` have weight 0: the authors' code has none.

    The paper's equations were not at hand; the terms and their weights are those of the authors'
    code.

    Args:
        backbone: a `DCIDBackbone` with an `AlignedCodebook`, or a tuple of modalities for that of
            the preset `"small"`.
        **kwargs: the arguments of `DCID`.

    Call arguments:
        inputs: a batch, see `DCIDBackbone`; `"draws"` as in `DCID`.
        training: whether dropout is active and state is updated.

    Returns:
        The features of `DCIDBackbone`, with `"quantized"` `(batch, frames, code_dim)`.

    Raises:
        ValueError: for unknown terms in `loss_weights`, an unknown value of an argument, or a
            backbone whose quantiser is no `AlignedCodebook`.

    Example:

    >>> model = keras_cmg.models.CoDAAR.from_preset("small", modalities=("audio", "text"))
    >>> model.loss_names
    ('reconstruction', 'commitment', 'cpc', 'code_matching')

    References:
        CoDAAR (2026), arXiv:2605.12145.
    """

    backbone_class = DCIDBackbone
    presets = presets.PRESETS

    def __init__(self, backbone: DCIDBackbone | tuple[str, ...], **kwargs):
        super().__init__(backbone, **kwargs)
        quantizer = self.backbone.quantizer
        if not isinstance(quantizer, AlignedCodebook):
            raise ValueError(
                "`backbone` must have an `AlignedCodebook` as its quantiser. "
                f"Received: {type(quantizer).__name__}"
            )

    def default_loss_weights(self):
        weights = super().default_loss_weights()
        return {term: 0.0 if term.startswith("club_") else 1.0 for term in weights}

    def feature_decoder(self, name, shape):
        decoder = super().feature_decoder(name, shape)
        return ProjectedDecoder(
            self.backbone.embedding_dim,
            decoder,
            dtype=self.dtype_policy,
            name=f"{name}_row_decoder",
        )
