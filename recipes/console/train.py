"""Trains on a folder of your clips, measures what was learned, and indexes the clips.

    keras-cmg train --clips FOLDER
    keras-cmg train --clips FOLDER --networks NETWORKS --out runs/clips
    keras-cmg train --data digits --root FOLDER

FOLDER holds sounds/CLASS/*, pictures/CLASS/* and captions/CLASS.txt, or a table files.csv of
file,class,group; or clips whose files have one name, such as a.mp4, or b.wav and b.png; or it is a
CSV manifest. NETWORKS holds yamnet.tflite and efficientnet_lite0.onnx; without them, features come
from extractors that need no network. The same command goes on where it was stopped.

`keras-cmg search` and `keras-cmg serve` use the folder of --out. `keras-cmg recipe pretrain` trains
on published data sets.
"""

from recipes.console.recipe_command import recipe_command
from recipes.experiments import train

__all__ = ["INTERRUPTED", "add_arguments", "run"]

INTERRUPTED = "stopped; extracted files and finished epochs are kept: the same command goes on"
add_arguments, run = recipe_command("train", "train", train)
