"""Facts of the machine and of the checkout that a measurement belongs to."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import keras

from recipes.runner.provenance import versions

BF16_PEAKS = {
    "A100": 312e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H200": 989e12,
}
"""Part of a GPU's name to its dense bfloat16 operations per second, from NVIDIA's data sheets; the
first that matches counts."""


def machine_facts() -> dict[str, Any]:
    """Collects what may change a measurement.

    Returns:
        The versions of `recipes.runner.provenance.versions`; `processor`, `cores`,
        `memory_gigabytes`, `accelerator` (None without one), `commit` (None outside a checkout,
        with `+` if files are changed), `load` (programs that ran during the last minute) and
        `date`.

    Example:

    >>> machine_facts()["cores"] >= 1
    True
    """
    return {
        **versions(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "memory_gigabytes": round(
            os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1
        ),
        "accelerator": accelerator_name(),
        "commit": commit(),
        "load": round(os.getloadavg()[0], 2),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def processor_name() -> str:
    """Returns the model of the processor.

    Returns:
        Text such as "AMD EPYC"; the architecture where the system does not tell the model.

    Example:

    >>> len(processor_name()) > 0
    True
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def accelerator_name() -> str | None:
    """Returns the name of the first accelerator that the engine uses.

    Returns:
        Text such as "NVIDIA H200"; None on the processor.

    Example:

    >>> name = accelerator_name()
    """
    engine = keras.backend.backend()
    if engine == "torch":
        import torch

        return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    if engine == "jax":
        import jax

        device = jax.devices()[0]
        return None if device.platform == "cpu" else device.device_kind
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        return None
    return tf.config.experimental.get_device_details(devices[0]).get("device_name", "GPU")


def bf16_peak(accelerator: str | None) -> float | None:
    """Returns the dense bfloat16 operations per second of an accelerator by its data sheet.

    Args:
        accelerator: as from `accelerator_name`.

    Returns:
        Operations per second; None if it is not listed in `BF16_PEAKS`.

    Example:

    >>> bf16_peak("NVIDIA H100 PCIe"), bf16_peak("NVIDIA H200"), bf16_peak(None)
    (756000000000000.0, 989000000000000.0, None)
    """
    found = (peak for part, peak in BF16_PEAKS.items() if part in (accelerator or ""))
    return next(found, None)


def commit() -> str | None:
    """Returns the commit of the checkout.

    Returns:
        Twelve digits, followed by `+` if tracked files are changed; None outside a checkout.

    Example:

    >>> found = commit()
    """
    root = Path(__file__).resolve().parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    head = git("rev-parse", "--short=12", "HEAD")
    if head is None:
        return None
    return f"{head}+" if git("status", "--porcelain", "--untracked-files=no") else head


if __name__ == "__main__":
    print(json.dumps(machine_facts()))
