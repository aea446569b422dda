"""VQ-VAE of images, with the interface of the cross-modal systems."""

from keras_cmg.models.vqvae.backbone import VQVAEBackbone
from keras_cmg.models.vqvae.pretrainer import VQVAE

__all__ = ["VQVAE", "VQVAEBackbone"]
