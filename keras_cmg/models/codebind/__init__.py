"""CodeBind (Chen et al., 2026), on frozen features."""

from keras_cmg.models.codebind.backbone import CodeBindBackbone
from keras_cmg.models.codebind.pretrainer import CodeBind

__all__ = ["CodeBind", "CodeBindBackbone"]
