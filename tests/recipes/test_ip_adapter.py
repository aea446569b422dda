"""The IP-Adapter's loading code on a pipeline of a few thousand random weights, and the FID's."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from recipes.image_generation import code_prompt, image_generator, ip_adapter

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers", reason="needs `pip install 'keras-cmg[generation]'`")
pytest.importorskip("transformers", reason="needs `pip install 'keras-cmg[generation]'`")

pytestmark = pytest.mark.filterwarnings("default")
WIDTH, EMBEDDING = 8, 6
TOKENS = 4  # As diffusers takes for granted of this kind of adapter.


def save_tokenizer(folder: Path):
    """A tokenizer that knows the letters."""
    from transformers import CLIPTokenizer

    folder.mkdir(parents=True)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: place for place, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=8)


def save_pipeline(folder: Path) -> Path:
    """Stable Diffusion with one block of eight channels."""
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    tokenizer = save_tokenizer(folder / "words")
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(WIDTH,),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    vae = AutoencoderKL(block_out_channels=(4,), norm_num_groups=2, sample_size=8)
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=8,
        )
    )
    pipe = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder / "pipeline")
    return folder / "pipeline"


def save_adapter(folder: Path) -> Path:
    """Weights of an IP-Adapter for that pipeline, and the image encoder beside them."""
    from diffusers import UNet2DConditionModel
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(1)
    adapter = folder / "adapter"
    CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=8,
            intermediate_size=8,
            projection_dim=EMBEDDING,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=16,
            patch_size=8,
        )
    ).save_pretrained(adapter / ip_adapter.IMAGE_ENCODER)
    unet = UNet2DConditionModel.from_pretrained(folder / "pipeline" / "unet")
    weights = {
        "image_proj.proj.weight": torch.randn(TOKENS * WIDTH, EMBEDDING),
        "image_proj.proj.bias": torch.zeros(TOKENS * WIDTH),
        "image_proj.norm.weight": torch.ones(WIDTH),
        "image_proj.norm.bias": torch.zeros(WIDTH),
    }
    for place, name in enumerate(unet.attn_processors):
        if "attn2" in name:
            for part in ("to_k_ip", "to_v_ip"):
                weights[f"ip_adapter.{place}.{part}.weight"] = torch.randn(WIDTH, WIDTH)
    save_file(weights, adapter / "ip-adapter.safetensors")
    return adapter / "ip-adapter.safetensors"


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> ip_adapter.IPAdapterGenerator:
    folder = tmp_path_factory.mktemp("generation")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = save_pipeline(folder)
        return ip_adapter.IPAdapterGenerator(pipeline, save_adapter(folder), steps=2, side=16)


def test_embeds_images_and_makes_images_of_embeddings(generator) -> None:
    images = np.random.default_rng(0).uniform(size=(3, 28, 28, 1)).astype("float32")
    embeddings = generator.embed(images)
    assert embeddings.shape == (3, EMBEDDING) and generator.embedding_dim == EMBEDDING
    assert np.abs(embeddings[0] - embeddings[1]).max() > 1e-4
    made = generator.generate(embeddings, seed=0, batch_size=2)
    assert made.shape == (3, 16, 16, 3)
    assert made.min() >= 0 and made.max() <= 1
    np.testing.assert_allclose(generator.generate(embeddings, seed=0, batch_size=2), made)


def test_the_embedding_steers_the_image(generator) -> None:
    first, second = np.eye(EMBEDDING, dtype="float32")[:2, None]
    made = [generator.generate(embedding, seed=0) for embedding in (first, first, 5 * second)]
    np.testing.assert_allclose(made[0], made[1])
    assert np.abs(made[0] - made[2]).max() > 1e-3


def test_codes_drive_it(generator) -> None:
    draws = np.random.default_rng(0)
    codes = {split: draws.normal(size=(8, 4)).astype("float32") for split in ("train", "val")}
    targets = {split: x @ np.ones((4, EMBEDDING), "float32") for split, x in codes.items()}
    prompt = code_prompt.CodePrompt(EMBEDDING, units=8)
    history = prompt.fit(codes, targets, epochs=3)
    assert history["loss"][-1] < history["loss"][0]
    assert prompt.images(generator, codes["val"][:2], seed=0).shape == (2, 16, 16, 3)


def test_files_that_are_missing_or_pickled_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="`pipeline` must hold model_index"):
        ip_adapter.IPAdapterGenerator(tmp_path, tmp_path / "a.safetensors")
    (tmp_path / "model_index.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match="`adapter` must name a file"):
        ip_adapter.IPAdapterGenerator(tmp_path, tmp_path / "a.safetensors")
    (tmp_path / "a.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"must be a \.safetensors file"):
        ip_adapter.IPAdapterGenerator(tmp_path, tmp_path / "a.bin")


class Pool(torch.nn.Module):
    """Means of the channels, in the place of the Inception network."""

    def forward(self, images, return_features: bool = False):
        return images.float().mean(dim=[2, 3])


def test_features_come_from_a_torchscript_file(tmp_path: Path) -> None:
    path = tmp_path / "inception.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Pool()).save(str(path))
        with pytest.raises(ValueError, match="a program that would be run"):
            ip_adapter.InceptionFeatures(path)
        features = ip_adapter.InceptionFeatures(path, trusted=True)
    images = np.zeros((70, 4, 4, 3))
    images[..., 1] = 1
    np.testing.assert_array_equal(features(images), [[0, 255, 0]] * 70)
    assert image_generator.distance(features, images, images) == 0
    path.write_bytes(b"no network")
    with pytest.raises(ValueError, match="must be a TorchScript file"):
        ip_adapter.InceptionFeatures(path, trusted=True)
    with pytest.raises(FileNotFoundError, match="must name a TorchScript file"):
        ip_adapter.InceptionFeatures(tmp_path / "nothing.pt")
