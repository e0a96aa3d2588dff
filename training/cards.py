"""Model cards from the artefacts themselves, so that they cannot say what was never measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stream.scoring.manifest import FusionFile, Manifest, SubsetFusion, read_contract, subset_key
from stream.scoring.panel import read_active

_ABOUT = {
    "vae": (
        "β-VAE on the current row; trained without labels. Raw score: negative log-likelihood of the observed cells "
        "plus KL divergence, that is, how badly a row fits what is usual.",
        "Frauds that look like everyday rows; unusual but honest rows (travel, a first expensive purchase) score high. "
        "Alone it is no basis for decisions; it is the member that needs no labels.",
    ),
    "cnn": (
        "One-dimensional convolutions over the card's last 16 transactions, joined by the current row (scaled, with "
        "0/1 steps); focal loss, stopped early on cards kept apart.",
        "A card's first transactions, where the window is empty; kinds of fraud that training did not hold.",
    ),
    "svm": (
        "Support vector machine with an RBF kernel through landmarks on the current row; balanced classes.",
        "It sees one row at a time: patterns over several transactions reach it only through the features.",
    ),
    "gbdt": (
        "Gradient boosted trees (LightGBM) on the current row and every step of the card's last 16 transactions; "
        "missing values take a branch of their own; log loss, stopped early on cards kept apart.",
        "Values beyond those it was trained on all fall into the outermost branches; kinds of fraud that training did "
        "not hold.",
    ),
}
_PURPOSE = (
    "Ranks card transactions for review as one member of the panel; the panel's fused score decides, never this one "
    "alone."
)
_NOT_FOR = (
    "Decisions about people (credit, insurance, employment, closing an account); streams whose features were not "
    "computed by this version of the code; declining without review at a bank on whose own labels it was not judged"
)
_SIMULATED = "; real money as it stands, because everything it knows comes from a simulator"


def write_cards(models: Path, cards: Path) -> list[Path]:
    """Write one card per champion and one for the panel; returns their paths."""
    champion, version = read_active(models)
    fusion = read_contract(models / "fusion" / version / "fusion.json", FusionFile)
    manifests = [read_contract(models / name / number / "manifest.json", Manifest) for name, number in champion.items()]
    cards.mkdir(parents=True, exist_ok=True)
    written = []
    for manifest in manifests:
        path = cards / f"{manifest.name}.md"
        path.write_text(_card(manifest), encoding="utf-8")
        written.append(path)
    panel = cards / "panel.md"
    panel.write_text(_panel_card(fusion, manifests), encoding="utf-8")
    return [*written, panel]


def _card(manifest: Manifest) -> str:
    what, weak = _ABOUT.get(manifest.name, ("A detector of the panel.", "Not yet described."))
    window = manifest.training
    lines = [
        f"# {manifest.name}, version {manifest.version}",
        "",
        what,
        "",
        f"- **Purpose**: {_PURPOSE}",
        f"- **Not for**: {_NOT_FOR}{_SIMULATED if manifest.simulated else ''}.",
        f"- **Inputs**: {_inputs(manifest)}; NaN is missing; scaling is inside the graph",
        f"- **Size**: {manifest.parameters:,} trained numbers",
        f"- **Trained on**: {window.rows:,} rows with {window.frauds:,} reported frauds"
        f"{', all simulated' if manifest.simulated else ''}; seed {window.seed}",
        f"- **Labels**: {window.labels}",
        f"- **Features**: version {manifest.features_version}, hash `{manifest.features_hash[:12]}`",
        f"- **Artefact**: sha256 `{manifest.sha256[:12]}`",
        f"- **Weak where**: {weak}",
        "",
        "Figures on calibration rows, which no detector was trained on, cross-fitted, by the truth:",
        "",
        *_table(manifest.metrics),
    ]
    return "\n".join(lines) + "\n"


def _inputs(manifest: Manifest) -> str:
    parts = {"x": f"{len(manifest.features)} features", "s": f"windows with {len(manifest.channels)} channels"}
    return " and ".join(parts[tensor.name] for tensor in manifest.inputs)


def _table(metrics: dict[str, float]) -> list[str]:
    rows = [f"| {name.replace('_', ' ')} | {value:g} |" for name, value in sorted(metrics.items())]
    return ["| figure | value |", "|---|---|", *rows]


def _panel_card(fusion: FusionFile, manifests: Sequence[Manifest]) -> str:
    everyone = fusion.subsets[subset_key([manifest.name for manifest in manifests])]
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(everyone.members, everyone.weights, strict=True))
    origin = "; everything here comes from simulated banks" if fusion.simulated else ""
    lines = [
        f"# Panel, fusion version {fusion.version}",
        "",
        "Fused logit = bias + non-negative weights on the members' calibrated logits, fitted for every subset.",
        f"Weights of the whole panel: {weights}.",
        f"Calibrated to {1e4 * fusion.prior:.0f} basis points of reported fraud{origin}.",
        "",
        f"Threshold rule: {fusion.threshold_rule}.",
        "",
        "| members that answer | review | step up | decline |",
        "|---|---|---|---|",
        *(_rule(key, fusion.subsets[key]) for key in sorted(fusion.subsets, key=lambda key: (-key.count("+"), key))),
        "",
        "Beside each other, on calibration rows, cross-fitted, by the truth (by transaction):",
        "",
        "| model | AP | AUC |",
        "|---|---|---|",
        *_ranked(fusion.metrics),
        "",
        "Figures at banks that nothing was chosen on: `fraudstream evaluate`, [a run of it](../evaluation/banks.md).",
        "",
        f"**Not for**: {_NOT_FOR}{_SIMULATED if fusion.simulated else ''}.",
    ]
    return "\n".join(lines) + "\n"


def _rule(key: str, rule: SubsetFusion) -> str:
    return f"| {key.replace('+', ', ')} | {rule.review:.3f} | {rule.step_up:.3f} | {rule.decline:.3f} |"


def _ranked(metrics: dict[str, float]) -> list[str]:
    labels = {name.rsplit(".", 1)[0] for name in metrics}
    ordered = sorted(labels, key=lambda label: (-metrics.get(f"{label}.ap", 0.0), label))
    return [f"| {label} | {metrics[f'{label}.ap']:.3f} | {metrics[f'{label}.auc']:.3f} |" for label in ordered]
