"""Stable Diffusion behind an IP-Adapter, and the network of the FID, from files of one's own.

Nothing is downloaded. Needs the extra `generation` and PyTorch.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.io.files import reading

IMAGE_ENCODER = "image_encoder"


class IPAdapterGenerator:
    """A frozen diffusion model that is prompted by image embeddings (Ye et al., 2023).

    Args:
        pipeline: folder of a Stable Diffusion pipeline as `save_pretrained` of diffusers leaves it.
        adapter: weights of the IP-Adapter, `.safetensors`; the CLIP image encoder they go with is
            in the folder `image_encoder` beside the file, or part of the pipeline.
        steps: of denoising.
        guidance: weight of the prompt against none.
        side: height and width of generated images, a multiple of 8; the pipeline's own if None.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: the adapter is not a `.safetensors` file: others hold pickled objects.
        ModuleNotFoundError: diffusers or PyTorch is not installed.

    References:
        Ye et al. (2023), IP-Adapter: Text Compatible Image Prompt Adapter for Text-to-Image
        Diffusion Models.
    """

    def __init__(
        self,
        pipeline: str | os.PathLike[str],
        adapter: str | os.PathLike[str],
        steps: int = 30,
        guidance: float = 5.0,
        side: int | None = None,
    ):
        pipeline, adapter = Path(pipeline), Path(adapter)
        if not (pipeline / "model_index.json").is_file():
            raise FileNotFoundError(f"`pipeline` must hold model_index.json; received: {pipeline}")
        if not adapter.is_file():
            raise FileNotFoundError(f"`adapter` must name a file; received: {adapter}")
        if adapter.suffix != ".safetensors":
            raise ValueError(f"`adapter` must be a .safetensors file; received: {adapter}")
        import torch
        from diffusers import StableDiffusionPipeline

        self.torch = torch
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.pipe = StableDiffusionPipeline.from_pretrained(
            pipeline,
            local_files_only=True,
            low_cpu_mem_usage=False,
            safety_checker=None,
            requires_safety_checker=False,
        )
        own = (adapter.parent / IMAGE_ENCODER / "config.json").is_file()
        if not own and self.pipe.image_encoder is None:
            raise FileNotFoundError(
                f"the adapter needs its CLIP image encoder in {adapter.parent / IMAGE_ENCODER}"
            )
        if own:
            from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

            self.pipe.image_encoder = CLIPVisionModelWithProjection.from_pretrained(
                adapter.parent / IMAGE_ENCODER, local_files_only=True
            )
            size = self.pipe.image_encoder.config.image_size
            self.pipe.feature_extractor = CLIPImageProcessor(
                size={"shortest_edge": size}, crop_size={"height": size, "width": size}
            )
        self.pipe.load_ip_adapter(
            str(adapter.parent),
            subfolder="",
            weight_name=adapter.name,
            image_encoder_folder=None,
            local_files_only=True,
            low_cpu_mem_usage=False,
        )
        self.pipe.set_ip_adapter_scale(1.0)
        self.pipe.to(self.device)
        self.pipe.set_progress_bar_config(disable=True)
        self.steps = steps
        self.guidance = guidance
        self.side = side

    @property
    def embedding_dim(self) -> int:
        """Length of an image embedding."""
        return self.pipe.image_encoder.config.projection_dim

    def embed(self, images: np.ndarray, batch_size: int = 32) -> np.ndarray:
        """CLIP embeddings of images, `(images, dim)` float32.

        Args:
            images: (images, height, width, 1 or 3) float, 0 to 1.
            batch_size: images at once.

        Returns:
            The embeddings.
        """
        found = []
        for start in range(0, len(images), batch_size):
            pixels = self.pipe.feature_extractor(
                list(as_colour(images[start : start + batch_size])), return_tensors="pt"
            ).pixel_values.to(self.device)
            with self.torch.no_grad():
                found.append(self.pipe.image_encoder(pixels).image_embeds.float().cpu().numpy())
        return np.concatenate(found)

    def generate(self, embeddings: np.ndarray, seed: int = 0, batch_size: int = 8) -> np.ndarray:
        """Images of embeddings.

        Args:
            embeddings: (images, dim) float.
            seed: of the noise that is denoised.
            batch_size: images at once.

        Returns:
            (images, height, width, 3) float32, 0 to 1.
        """
        made = []
        for start in range(0, len(embeddings), batch_size):
            part = self.torch.tensor(embeddings[start : start + batch_size], device=self.device)
            # Nothing at all is the prompt that guidance leads away from.
            prompt = self.torch.stack([self.torch.zeros_like(part), part])[:, :, None]
            noise = [
                self.torch.Generator("cpu").manual_seed(seed + start + i) for i in range(len(part))
            ]
            made.append(
                self.pipe(
                    prompt=[""] * len(part),
                    ip_adapter_image_embeds=[prompt.flatten(0, 1)],
                    guidance_scale=self.guidance,
                    num_inference_steps=self.steps,
                    height=self.side,
                    width=self.side,
                    generator=noise,
                    output_type="np",
                ).images
            )
        return np.concatenate(made).astype("float32")


class InceptionFeatures:
    """Pool features of the Inception network that defines the FID (Heusel et al., 2017).

    A TorchScript file is a program, which may read and write files. It is the only file in this
    project that is run.

    Args:
        path: TorchScript file whose call takes `(images, 3, height, width)` uint8 and
            `return_features=True`, as the converted `inception-2015-12-05.pt`.
        trusted: whether the program in the file may be run.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: `trusted` is False, or the file is not TorchScript.
    """

    def __init__(self, path: str | os.PathLike[str], trusted: bool = False):
        if not Path(path).is_file():
            raise FileNotFoundError(f"`path` must name a TorchScript file; received: {path}")
        if not trusted:
            raise ValueError(
                f"{path} is a TorchScript file: a program that would be run with your permissions. "
                "If you trust its origin, give --trust-inception (`trusted=True`)."
            )
        import torch

        self.torch = torch
        with reading(path, "be a TorchScript file"):
            self.network: Any = torch.jit.load(str(path), map_location="cpu").eval()

    def __call__(self, images: np.ndarray, batch_size: int = 50) -> np.ndarray:
        """Features of images (images, height, width, 1 or 3), 0 to 1: `(images, dim)`."""
        found = []
        for start in range(0, len(images), batch_size):
            pixels = as_colour(images[start : start + batch_size]).transpose(0, 3, 1, 2)
            with self.torch.no_grad():
                batch = self.torch.from_numpy(np.ascontiguousarray(pixels))
                found.append(self.network(batch, return_features=True).cpu().numpy())
        return np.concatenate(found)


def as_colour(images: np.ndarray) -> np.ndarray:
    """Images as bytes of three channels.

    Args:
        images: (images, height, width, 1 or 3) float, 0 to 1.

    Returns:
        (images, height, width, 3) uint8.

    Example:

    >>> as_colour(np.ones((1, 2, 2, 1)))[0, 0, 0].tolist()
    [255, 255, 255]
    """
    pixels = (np.clip(images, 0, 1) * 255).round().astype("uint8")
    return pixels.repeat(3, axis=-1) if pixels.shape[-1] == 1 else pixels
