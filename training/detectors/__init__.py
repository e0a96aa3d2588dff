"""Detectors. To add one: a file here and a line in `REGISTRY`; the contract suite and the trainer find it."""

from training.detectors.base import Detector, Inputs, Windows
from training.detectors.cnn import SequenceCNN
from training.detectors.gbdt import GBDT, WindowGBDT
from training.detectors.svm import SVM
from training.detectors.vae import VAE

REGISTRY: dict[str, type[Detector]] = {cls.name: cls for cls in (VAE, SequenceCNN, SVM, GBDT)}

__all__ = ["GBDT", "REGISTRY", "SVM", "VAE", "Detector", "Inputs", "SequenceCNN", "WindowGBDT", "Windows"]
