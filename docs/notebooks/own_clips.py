# %% [markdown]
# # Your own clips: find pictures by sound
#
# From a folder of files to a model that finds pictures, videos and captions by a sound. So that the
# page needs no download, the first cell draws a folder: shapes of four kinds, each with a sound and
# a caption of its own. With a folder of yours, start at the first heading.
#
# Install `keras-cmg[data,extract,report,search,torch]` (or `jax`, `tensorflow`).

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import soundfile
from PIL import Image, ImageDraw

RATE, COLOURS = 8000, ("red", "orange", "yellow", "cyan", "violet", "white")
KINDS = {
    "bell": (3, 900),
    "drum": (4, 90),
    "flute": (6, 450),
    "buzzer": (40, 200),
}  # corners, hertz
rng = np.random.default_rng(0)


def draw_clip(kind, path):
    """Writes a sound, a picture and a caption of a kind."""
    corners, pitch = KINDS[kind]
    time = np.arange(4 * RATE) / RATE
    phase = 2 * np.pi * pitch * rng.uniform(0.9, 1.1) * time
    tone = np.sign(np.sin(phase)) if kind == "buzzer" else np.sin(phase)
    tone *= np.exp(-4 * (time % 1)) if kind in ("bell", "drum") else 0.5
    noise = rng.normal(0, 0.03, len(time))
    soundfile.write(path.with_suffix(".ogg"), np.clip(0.5 * tone + noise, -1, 1), RATE)

    colour = str(rng.choice(COLOURS))
    pixels = rng.integers(0, 60, (64, 64, 3)).astype("uint8")
    picture = Image.fromarray(pixels)
    x, y = rng.integers(24, 40, 2).tolist()
    turn = int(rng.integers(0, 40))
    size = int(rng.integers(14, 22))
    ImageDraw.Draw(picture).regular_polygon((x, y, size), corners, rotation=turn, fill=colour)
    picture.save(path.with_suffix(".png"))
    path.with_suffix(".txt").write_text(f"a {colour} thing that sounds like a {kind}")


folder = Path("clips")
folder.mkdir()
for number in range(96):
    kind = list(KINDS)[number % len(KINDS)]
    draw_clip(kind, folder / f"{kind}{number}")
sorted(path.name for path in folder.iterdir())[:6]

# %% [markdown]
# ## Train
#
# Files of one name are one clip. Other layouts, such as a folder per class, are on the page
# [own clips](../own_clips.md). The command extracts features, trains without labels until
# validation clips show no progress, and indexes the clips.

# %% language="bash"
# keras-cmg train --clips clips --extractors offline --epochs 8 --out run

# %% [markdown]
# The folder `run` now holds the model, its extractors, an index of the clips, a model card and
# `report.html`.
#
# ## Search

# %%
import keras_cmg

model = keras_cmg.load("run")
model.modalities, len(model.index)

# %% [markdown]
# A sound that training never heard, of a clip that is not in the folder:

# %%
draw_clip("bell", Path("query"))
sound = model.encode("audio", files=["query.ogg"])
hits = model.index.search(sound, "video", k=6)[0]
[(hit.name, round(hit.score, 2), hit.shared_codes) for hit in hits]

# %%
_, axes = plt.subplots(1, len(hits), figsize=(10, 2))
for place, hit in zip(axes, hits, strict=True):
    place.imshow(Image.open(folder / f"{Path(hit.name).stem}.png"))
    place.set_title(f"{hit.score:.2f}", fontsize=9)
    place.axis("off")
plt.show()

# %% [markdown]
# A query may be words as well, and find sounds. `shared_codes` names the codes that query and hit
# have in common, and `clips_of_code` everything else that falls on a code:

# %%
words = model.encode("text", texts=["a drum"])
found = model.index.search(words, "audio", k=3)[0]
[(hit.name, round(hit.score, 2)) for hit in found]

# %%
code, *others = model.index.codes_of(sound)[0]
[(clip.modality, clip.name) for clip in model.index.clips_of_code(code)][:8]

# %% [markdown]
# The same in a shell, with a gallery that opens in a browser:
# `keras-cmg search --run run --query query.ogg --find video`. How good a search is on clips that
# training did not see is in `run/report.html`; what the numbers of training say is in
# [watching training](../training.md).
