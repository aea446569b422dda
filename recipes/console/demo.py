"""Trains FCID without labels, probes its codes across modalities, and writes a report.

On rendered shapes, sounds and captions, or with --data digits on recorded and handwritten digits:

    keras-cmg demo
    keras-cmg demo --data digits --root FOLDER --out runs/digits

The folder of --out gets report.html, table.md, result.json, history.json, model.keras, a probe of
each modality and labels.txt.
"""

from recipes.console.recipe_command import recipe_command
from recipes.experiments import quickstart
from recipes.runner.command_line import INTERRUPTED

__all__ = ["INTERRUPTED", "add_arguments", "run"]

add_arguments, run = recipe_command("demo", "quickstart", quickstart)
