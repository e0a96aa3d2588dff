"""Gradient boosted trees on the current row, or on it and the window before it; missing values have their own branch.

Source of the method: Ke et al., LightGBM: A Highly Efficient Gradient Boosting Decision Tree (2017).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import lightgbm
import numpy as np
import numpy.typing as npt

from training.detectors.base import F32, F64, Detector, Inputs, Windows, labels_of, split_last

_PATIENCE = 30  # rounds without a better loss of the held-out rows


class GBDT(Detector):
    """Boosted trees; raw score = log odds before calibration.

    Parameters
    ----------
    trees, leaves
        Bounds on the ensemble and on each tree; together they are the cost of a row.
    rate
        Share of each tree's answer that is added.
    column_share
        Share of the columns that a tree may look at.
    bins
        Most cuts that are tried in a column; few blur amounts.
    genuine_share
        Share of the genuine rows that a tree may look at.
    """

    name = "gbdt"
    kind = "tabular"
    supervised = True

    def __init__(
        self,
        trees: int = 90,
        leaves: int = 10,
        rate: float = 0.2,
        column_share: float = 0.5,
        bins: int = 127,
        genuine_share: float = 1.0,
    ) -> None:
        self.trees, self.leaves, self.rate, self.column_share = trees, leaves, rate, column_share
        self.bins, self.genuine_share = bins, genuine_share
        self.booster: lightgbm.Booster | None = None
        self._window: tuple[int, int] | None = None  # (K, C) where windows are read too

    def fit(
        self, X: Inputs, y: npt.ArrayLike | None = None, *, seed: int, validation: tuple[Inputs, F64] | None = None
    ) -> Self:
        """Fit on rows X (n, d) with labels y (n,); stop when the held-out rows' log loss no longer falls."""
        table = self._flat(X)
        labels = labels_of(y, len(table))
        train = slice(0, len(table))
        if validation is None:
            train, held = split_last(len(table))
            rows, truth = table[held], labels[held]
            validation = (Windows(*(part[held] for part in X)) if isinstance(X, Windows) else rows), truth
        else:
            rows, truth = self._flat(validation[0]), np.asarray(validation[1], np.float64)
        known = lightgbm.Dataset(table[train], labels[train], params={"verbose": -1, "max_bin": self.bins})
        grown = lightgbm.train(
            self._settings(train.stop, seed),
            known,
            num_boost_round=self.trees,
            valid_sets=[lightgbm.Dataset(rows, truth, reference=known)],
            callbacks=[lightgbm.early_stopping(_PATIENCE, verbose=False)],
        )
        best = grown.model_to_string(num_iteration=grown.best_iteration or self.trees)
        self.booster = lightgbm.Booster(model_str=_in_float32(best))
        self._calibrate(*validation)
        return self

    def _flat(self, X: Inputs) -> F32:
        if isinstance(X, tuple) or X.ndim != 2:
            raise ValueError("GBDT takes a matrix (n, d)")
        return np.ascontiguousarray(X, np.float32)

    def _settings(self, n: int, seed: int) -> dict[str, Any]:
        return {
            "objective": "binary",
            "learning_rate": self.rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": min(60, max(5, n // 200)),
            "min_sum_hessian_in_leaf": 1e-2,
            "feature_fraction": self.column_share,
            "lambda_l2": 2.0,
            "max_bin": self.bins,
            **self._sampling(),
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbose": -1,
        }

    def _sampling(self) -> dict[str, Any]:
        if self.genuine_share >= 1.0:
            return {}
        return {"pos_bagging_fraction": 0.9, "neg_bagging_fraction": self.genuine_share, "bagging_freq": 1}

    def raw_score(self, X: Inputs) -> F64:
        """Log odds (n,) float64, higher = riskier."""
        return np.asarray(self._fitted().predict(self._flat(X), raw_score=True, num_threads=1), np.float64)

    def to_onnx(self, path: Path) -> None:
        """Write the trees as one ensemble node, its sum flattened to ``score`` (n,)."""
        path.write_bytes(_graph(self._fitted(), self._window))

    @property
    def parameters(self) -> int:
        """Count of cuts and leaves."""
        leaves = [int(tree["num_leaves"]) for tree in self._fitted().dump_model()["tree_info"]]
        return sum(2 * number - 1 for number in leaves)

    def _fitted(self) -> lightgbm.Booster:
        if self.booster is None:
            raise ValueError("GBDT is not fitted")
        return self.booster


class WindowGBDT(GBDT):
    """Boosted trees on the current row and every step of the window before it; inputs are `Windows`."""

    kind = "sequence"
    current_row = True

    def _flat(self, X: Inputs) -> F32:
        if not isinstance(X, Windows):
            raise ValueError("WindowGBDT takes Windows(steps, row)")
        self._window = (X.steps.shape[1], X.steps.shape[2])
        return np.concatenate([X.row, X.steps.reshape(len(X.steps), -1)], axis=1, dtype=np.float32)


def _in_float32(model: str) -> str:
    """Round the cuts of a model's text down to float32: no float32 value changes sides, in the graph nor here."""
    lines = model.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("threshold="):
            cuts = np.array(line.removeprefix("threshold=").split(), np.float64)
            near = np.clip(cuts, -3.4e38, 3.4e38).astype(np.float32)
            down = np.where(near > cuts, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float64)
            lines[number] = "threshold=" + " ".join(repr(float(cut)) for cut in down)
        elif line.startswith("tree_sizes="):
            lines[number] = ""  # bytes per tree, no longer true; without it the reader looks for the trees itself
    return "\n".join(lines) + "\n"


def _graph(booster: lightgbm.Booster, window: tuple[int, int] | None) -> bytes:
    from onnx import TensorProto, helper
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    # as a regression the converter keeps the plain sum of leaves; as a classifier it would add labels and sigmoids
    plain = lightgbm.Booster(
        model_str=booster.model_to_string().replace("objective=binary sigmoid:1", "objective=regression")
    )
    width = booster.num_feature()
    model = convert_lightgbm(plain, initial_types=[("x", FloatTensorType([None, width]))], zipmap=False)
    (trees,) = [node for node in model.graph.node if node.op_type == "TreeEnsembleRegressor"]
    _send_missing_where_training_did(trees, booster)
    before, shapes = [], [("x", ["batch", width])]
    numbers = {"flat": [-1]}
    if window is not None:
        steps = window[0] * window[1]
        shapes = [("s", ["batch", *window]), ("x", ["batch", width - steps])]
        numbers["wide"] = [-1, steps]
        before = [helper.make_node("Reshape", ["s", "wide"], ["steps"]),
                  helper.make_node("Concat", ["x", "steps"], ["row"], axis=1)]  # fmt: skip
    trees.input[0], trees.output[0], trees.name = "row" if before else "x", "sum", "trees"
    graph = helper.make_graph(
        [*before, trees, helper.make_node("Reshape", ["sum", "flat"], ["score"])],
        "gbdt",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"])],
        [helper.make_tensor(name, TensorProto.INT64, [len(shape)], shape) for name, shape in numbers.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    written = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="fraudstream")
    return bytes(written.SerializeToString(deterministic=True))


def _send_missing_where_training_did(trees: Any, booster: lightgbm.Booster) -> None:
    """Where training saw no missing value in a column, LightGBM reads one as 0; the converter does not know that."""
    never = {
        split["split_feature"]
        for tree in booster.dump_model()["tree_info"]
        for split in _splits(tree["tree_structure"])
        if split["missing_type"] == "None"
    }
    attribute = {item.name: item for item in trees.attribute}
    columns, cuts = attribute["nodes_featureids"].ints, attribute["nodes_values"].floats
    tracks = attribute["nodes_missing_value_tracks_true"].ints
    modes = attribute["nodes_modes"].strings
    for i, (column, cut, mode) in enumerate(zip(columns, cuts, modes, strict=True)):
        if mode != b"LEAF" and column in never:
            tracks[i] = int(cut >= 0)


def _splits(node: dict[str, Any]) -> list[dict[str, Any]]:
    if "split_feature" not in node:
        return []
    return [node, *_splits(node["left_child"]), *_splits(node["right_child"])]
