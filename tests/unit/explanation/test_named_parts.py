"""Explanations name what changed in a native model: the value, parameter, node, layer or stage."""

from __future__ import annotations

import io
import json
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from model_gate.domain.counterparts import stable_name
from model_gate.reporting.phrases import in_order
from tests.support.explained import compare_directories, explain, field_of, verdict_of, zipped
from tests.support.onnx_models import float_list, onnx_model, overload, text_attribute
from tests.support.torch_archives import torch_archive
from tests.support.ubjson_writer import ubjson

CLASS_OF_MAIN = """
import sys
import cloudpickle

class Model:
    LIMIT = {limit}

sys.stdout.buffer.write(cloudpickle.dumps(Model()))
"""


def pickled_by_cloudpickle(limit: int | str) -> bytes:
    program = CLASS_OF_MAIN.format(limit=limit)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout


def test_random_id_of_a_class_of_the_program_is_explained_with_advice(tmp_path: Path) -> None:
    first, again, other = (pickled_by_cloudpickle(limit) for limit in (3, 3, 4))
    assert first != again
    explanation = explain(tmp_path, "python_model.pkl", first, again)
    assert "only the random id that cloudpickle gives to a class of the program" in explanation.summary
    assert "from code" in explanation.advice
    assert explanation.rewrite_reason == ""
    assert explanation.only_random == "random class ids"
    changed = explain(tmp_path, "python_model.pkl", first, other)
    assert changed.only_random == ""
    assert "only the random id" not in changed.summary
    assert "Model.LIMIT 3 → 4" in changed.summary
    assert changed.advice == explanation.advice


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(("[a, b, a]", "'1' * 32"), id="order of references"),
        pytest.param(("[a, b, b]", "'0' * 32"), id="text of 32 hex digits"),
    ],
)
def test_random_class_ids_are_not_called_all_that_differs_beside_another_change(
    other: tuple[str, str], tmp_path: Path
) -> None:
    first, second = (
        pickled_by_cloudpickle(f"3\n    a, b = [1], [2]\n    items, text = {items}, {text}")
        for items, text in (("[a, b, b]", "'1' * 32"), other)
    )
    explanation = explain(tmp_path, "python_model.pkl", first, second)
    assert explanation.only_random == ""
    assert "only the random id" not in explanation.summary


def test_texts_that_look_like_random_ids_are_values_without_cloudpickle(tmp_path: Path) -> None:
    left, right = (pickle.dumps({"id": digit * 32}) for digit in "ab")
    explanation = explain(tmp_path, "model.pkl", left, right)
    assert explanation.advice == ""
    assert "only the random id" not in explanation.summary


def test_pickles_of_different_length_are_explained_by_a_value_and_not_by_a_frame(tmp_path: Path) -> None:
    left, right = (pickle.dumps({"name": name, "rest": [1, 2]}) for name in ("logistic", "linear"))
    explanation = explain(tmp_path, "model.pkl", left, right)
    assert explanation.summary.endswith("name 'logistic' → 'linear'")
    assert str(field_of(explanation, "first differing opcode").left).startswith("SHORT_BINUNICODE 'logistic' at byte")


def test_reordered_pickle_is_explained_by_the_values_that_only_one_file_has(tmp_path: Path) -> None:
    left = pickle.dumps([["alpha", "beta", "alpha"], 2])
    reordered, changed = (pickle.dumps([["beta", "alpha", "alpha"], number]) for number in (2, 3))
    explanation = explain(tmp_path, "model.pkl", left, reordered)
    assert explanation.summary.endswith("the same values in another order")
    assert "PYTHONHASHSEED" in explanation.advice
    assert explanation.rewrite_reason == ""
    explanation = explain(tmp_path, "model.pkl", left, changed)
    assert "[1] 2 → 3, [0][0] 'alpha' → 'beta'; and 1 more change" in explanation.summary
    assert explanation.advice == ""


@pytest.mark.parametrize("last", ["c", "d"])
def test_long_values_of_a_pickle_count_when_its_order_changed(last: str, tmp_path: Path) -> None:
    long = [letter.encode() * 70_000 for letter in "ab"]
    left, right = pickle.dumps([*long, "c"]), pickle.dumps([long[1], long[1][:-1] + last.encode(), "c"])
    assert "another order" not in explain(tmp_path, "model.pkl", left, right).summary
    assert "another order" in explain(tmp_path, "model.pkl", left, pickle.dumps([*long[::-1], "c"])).summary


def test_numbers_that_python_takes_for_equal_are_different_values_of_a_pickle(tmp_path: Path) -> None:
    explanation = explain(tmp_path, "model.pkl", pickle.dumps([0.0]), pickle.dumps([-0.0]))
    assert explanation.summary.endswith("[0] 0.0 → -0.0")


def test_damaged_pickle_of_the_same_size_is_not_called_cut_off(tmp_path: Path) -> None:
    data = pickle.dumps(["a text", 1, 2, 3])
    position = data.index(b"\x8c") + 1
    damaged = data[:position] + bytes([data[position] ^ 0x40]) + data[position + 1 :]
    note = explain(tmp_path, "model.pkl", data, damaged).note
    assert note.startswith("could not be explained as pickle: the right file is damaged: ")
    note = explain(tmp_path, "model.pkl", data[:-4], data).note
    assert note.startswith("could not be explained as pickle: the left file is cut off or damaged: ")


def test_pickle_is_recognized_by_its_first_bytes(tmp_path: Path) -> None:
    left, right = (pickle.dumps({"params": bytearray(number)}, 5) for number in (b"\1\2", b"\1\3"))
    assert explain(tmp_path, "model.statsmodels", left, right).kind == "pickle"
    explanation = explain(tmp_path, "model.statsmodels", left, right[:-3])
    assert (explanation.kind, explanation.note) == ("bytes", "")


def test_json_inside_a_json_text_is_explained_value_by_value(tmp_path: Path) -> None:
    def prophet(scale: float) -> bytes:
        history = json.dumps({"data": [1, 2]})
        return json.dumps(json.dumps({"changepoint_prior_scale": scale, "history": history})).encode()

    explanation = explain(tmp_path, "model.pr", prophet(0.05), prophet(0.1))
    assert (explanation.kind, explanation.summary) == ("JSON", "changepoint_prior_scale 0.05 → 0.1")


def xgboost(objective: str = "binary:logistic", weights: tuple[float, ...] = (0.5, -0.25)) -> dict[str, Any]:
    tree = {"split_conditions": struct.pack(f">{len(weights)}f", *weights)}
    return {"learner": {"objective": {"name": objective}, "trees": [tree], "empty": {}}, "version": [3, 0, 5]}


def test_explanation_names_the_changed_parameter_of_an_xgboost_model(tmp_path: Path) -> None:
    left = ubjson(xgboost())
    explanation = explain(tmp_path, "model.ubj", left, ubjson(xgboost("reg:squarederror")))
    assert explanation.kind == "UBJSON"
    assert explanation.summary == "learner.objective.name binary:logistic → reg:squarederror"
    explanation = explain(tmp_path, "model.ubj", left, ubjson(xgboost(weights=(0.5, -0.5))))
    change = field_of(explanation, "learner.trees[0].split_conditions")
    assert change.meaning == "1 of 2 elements changed, largest difference 0.25"
    explanation = explain(tmp_path, "model.ubj", left, ubjson(xgboost() | {"version": [3, 1, 0]}))
    assert explanation.summary == "version[1] 0 → 1, version[2] 5 → 0"


@pytest.mark.parametrize(
    "data, note",
    [
        (ubjson(xgboost())[:-5], "cut off or damaged"),
        (ubjson(xgboost()) + b"x", "bytes follow"),
        (b"{" + b"L" + (1 << 60).to_bytes(8, "big") + b"x", "a text of"),
        (b"{" + b"l" + b"\xff" * 4, "negative length"),
        (b"[" * 1_000, "nested too deeply"),
        (b"{i\1a[$d#L" + (1 << 60).to_bytes(8, "big") + b"}", "cut off or damaged"),
        (b"{i\1aTi\1aF}", "a key twice"),
        (b"{i\1a?}", "unknown type"),
        (b"[$T#L" + (1 << 60).to_bytes(8, "big"), "unknown type"),
        (b"hello", "does not start with an object"),
        (b"[" + b"T" * 110_000 + b"]", "too many values"),
    ],
)
def test_damaged_ubjson_is_explained_by_its_bytes(data: bytes, note: str, tmp_path: Path) -> None:
    explanation = explain(tmp_path, "model.ubj", ubjson(xgboost()), data)
    assert explanation.kind in {"bytes", "text"}
    assert note in explanation.note


def test_explanation_names_the_node_and_the_initializer_of_an_onnx_model(tmp_path: Path) -> None:
    left = onnx_model()
    explanation = explain(tmp_path, "model.onnx", left, onnx_model(alpha=0.2))
    assert (explanation.kind, explanation.summary) == ("ONNX", "node act (LeakyRelu).alpha 0.1 → 0.2")
    explanation = explain(tmp_path, "model.onnx", left, onnx_model(weights=(1.0, 2.0, 3.5)))
    assert explanation.summary == "W: 1 of 3 elements changed, largest difference 0.5"
    explanation = explain(tmp_path, "model.onnx", left, onnx_model(weights=(1.0, 2.0)))
    assert explanation.summary == "W: float32 3 → float32 2"
    explanation = explain(tmp_path, "model.onnx", left, onnx_model(operator="Relu", producer="skl2onnx"))
    assert field_of(explanation, "producer").right == "skl2onnx"
    assert field_of(explanation, "node act (Relu)").left is None
    explanation = explain(tmp_path, "model.onnx", left, onnx_model(batch=7))
    assert explanation.fields[0].field == "input x"
    assert explanation.rewrite_reason == ""


@pytest.mark.parametrize(
    "left, right",
    [
        (float_list([0.0] * 100, is_packed=False), float_list([0.0] * 99 + [1.0], is_packed=False)),
        (float_list([0.0] * 100, is_packed=True), float_list([0.0] * 99 + [1.0], is_packed=True)),
        (text_attribute("a" * 5_000), text_attribute("a" * 4_999 + "b")),
        (overload("a"), overload("b")),
    ],
    ids=["list", "packed list", "text", "function"],
)
def test_node_of_an_onnx_model_is_the_same_only_if_all_of_its_values_are(
    left: bytes, right: bytes, tmp_path: Path
) -> None:
    explanation = explain(tmp_path, "model.onnx", onnx_model(more=left), onnx_model(more=right))
    assert explanation.fields[0].field.startswith("node act (LeakyRelu).")
    assert not explanation.has_same_values


def test_explanations_mark_the_same_values_that_are_written_in_another_way(tmp_path: Path) -> None:
    for path, left, right in (
        ("model.onnx", onnx_model(), onnx_model() + b"\x12\x07pytorch"),
        ("settings.json", b'{"a": 1}', b'{ "a": 1}'),
        ("settings.yaml", b"a: 1\n", b"a:  1\n"),
        ("requirements.txt", b"a==1\nb==1\n", b"b==1\na==1\n"),
        ("model.pkl", pickle.dumps([1], 4), pickle.dumps([1], 5)),
    ):
        assert explain(tmp_path, path, left, right).has_same_values, path
    assert not explain(tmp_path, "model.pkl", pickle.dumps([1]), pickle.dumps([2])).has_same_values


@pytest.mark.parametrize(
    "data",
    [onnx_model()[:-3], b"\x3a\xff\xff\xff\xff\xff\x0f", b"\xff" * 40, b"\x0b\x0c", b"\x08\x01", b"\x08\x01" * 210_000],
)
def test_damaged_onnx_is_explained_by_its_bytes(data: bytes, tmp_path: Path) -> None:
    explanation = explain(tmp_path, "model.onnx", onnx_model(), data)
    assert explanation.kind in {"bytes", "text"}
    assert "could not be explained as ONNX: it" in explanation.note


def test_explanation_names_the_layer_of_a_pytorch_state_dict(tmp_path: Path) -> None:
    explanation = explain(tmp_path, "state_dict.pt", torch_archive("first"), torch_archive("second"))
    change = field_of(explanation, "2.weight (sd/data/2)")
    assert change.meaning == "1 of 4 elements changed, largest difference 0.5"
    assert explanation.summary.startswith("2.weight (sd/data/2): 1 of 4 elements changed")


def test_names_of_pytorch_tensors_do_not_affect_which_members_are_compared(tmp_path: Path) -> None:
    class Storage:
        def __init__(self, key: str) -> None:
            self.key = key

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> object:
            return ("storage", float, value.key, "cpu", 1) if isinstance(value, Storage) else None

    def archive(value: bytes, named: str) -> bytes:
        target = io.BytesIO()
        Pickler(target, 2).dump({"weight": Storage(named)})
        return zipped({"m/data.pkl": target.getvalue(), "m/data/0": b"same", "m/data/1": value})

    explanation = explain(tmp_path, "m.pt", archive(b"1234", "0"), archive(b"1235", "0"))
    assert [change.field for change in explanation.fields] == ["m/data/1"]
    explanation = explain(tmp_path, "m.pt", archive(b"1234", "1"), archive(b"1235", "1"))
    assert [change.field for change in explanation.fields] == ["weight (m/data/1)"]


@pytest.mark.parametrize("damaged", [b"\x80\x02}", b"\x80\x02" + b"(" * 1_000 + b"t.", b"\x80\x02N\x85\x85Q."])
def test_pytorch_archive_with_a_damaged_pickle_is_explained_without_names(damaged: bytes, tmp_path: Path) -> None:
    left, right = (zipped({"m/data.pkl": damaged, "m/data/0": value}) for value in (b"1234", b"1235"))
    assert [change.field for change in explain(tmp_path, "m.pt", left, right).fields] == ["m/data/0"]


def test_explanation_names_the_weight_of_an_exported_pytorch_program(tmp_path: Path) -> None:
    config = {"config": {"0.weight": {"path_name": "weight_0", "tensor_meta": {"dtype": 7}}}}
    left, right = (
        zipped(
            {
                "m/data/weights/weight_0": struct.pack("<2f", 1.0, value),
                "m/data/weights/model_weights_config.json": json.dumps(config).encode(),
            }
        )
        for value in (2.0, 2.5)
    )
    explanation = explain(tmp_path, "model.pt2", left, right)
    change = field_of(explanation, "0.weight (m/data/weights/weight_0)")
    assert change.meaning == "1 of 2 elements changed, largest difference 0.5"


def keras(units: int, number: str) -> bytes:
    layers = [{"class_name": "Dense", "config": {"name": f"dense{number}", "units": units}} for _ in range(3)]
    config = {"class_name": "Sequential", "config": {"name": f"sequential{number}", "layers": layers}}
    return zipped({"metadata.json": b"{}", "config.json": json.dumps(config).encode(), "model.weights.h5": b"w"})


def test_automatic_names_of_keras_layers_do_not_hide_what_changed(tmp_path: Path) -> None:
    explanation = explain(tmp_path, "model.keras", keras(4, ""), keras(5, "_1"))
    assert explanation.summary.startswith("config.json: config.layers[0].config.units 4 → 5")
    explanation = explain(tmp_path, "model.keras", keras(4, "_2"), keras(4, "_11"))
    assert "only automatic names: config.name sequential_2 → sequential_11" in explanation.summary
    assert "clear_session" in explanation.advice
    assert explanation.rewrite_reason == ""


def catboost(guid: str, time: str, depth: float, trees: bytes) -> bytes:
    params = json.dumps({"loss_function": {"type": "Logloss"}, "tree_learner_options": {"depth": depth}}).encode()
    texts = [guid.encode(), time.encode(), params]
    return b"CBM1" + b"".join(struct.pack("<I", len(text)) + text + b"\0" for text in texts) + trees


GUID, TIME = "a299414a-7ab02121-20f9ae9f-e84050dc", "2026-01-01T10:00:00Z"


@pytest.mark.parametrize(
    "depth, trees, summary, has_advice",
    [
        (2, b"trees", "only model_guid and train_finish_time differ", True),
        (2, b"treez", "bytes differ (21 %), no parameter changed; the trees are not read", False),
        (3, b"trees", "params.tree_learner_options.depth 2 → 3; the trees are not read", False),
    ],
)
def test_catboost_model_trained_again_is_explained_and_never_equivalent(
    depth: int, trees: bytes, summary: str, has_advice: bool, tmp_path: Path
) -> None:
    left = catboost(GUID, TIME, 2, b"trees")
    right = catboost("aac2cd0f-f46fbf00-f8b0b1aa-4d0d1ecf", "2026-01-02T10:00:00Z", depth, trees)
    explanation = explain(tmp_path, "model.cb", left, right)
    assert explanation.kind == "CatBoost"
    assert summary in explanation.summary
    assert ("Log the file of the original training" in explanation.advice) == has_advice
    assert explanation.rewrite_reason == ""


@pytest.mark.parametrize("guid", ["aac2cd0f-f46fbf00-f8b0b1a-4d0d1ecf", "ac2cd0f-46fbf00-8b0b1a-d0d1ecf"])
def test_random_id_of_another_length_in_a_catboost_model_is_no_other_difference(guid: str, tmp_path: Path) -> None:
    left, right = (catboost(each, TIME, 2, b"\0\0trees") for each in (GUID, guid))
    assert explain(tmp_path, "model.cb", left, right).summary == "only model_guid differs"


@pytest.mark.parametrize("depth, has_advice", [(0.0833333, True), (0.09, False)])
def test_catboost_model_with_shortened_numbers_has_advice(depth: float, has_advice: bool, tmp_path: Path) -> None:
    left, right = (catboost(GUID, TIME, number, b"trees") for number in (0.0833333358168602, depth))
    assert bool(explain(tmp_path, "model.cb", left, right).advice) == has_advice


def test_parameter_that_a_user_set_is_named_first_in_a_catboost_model(tmp_path: Path) -> None:
    def model(depth: int) -> bytes:
        params = {"loss_function": "RMSE", "boosting": {"max_leaves": 2**depth}, "flat_params": {"depth": depth}}
        text = json.dumps(params).encode()
        return b"CBM1" + struct.pack("<I", len(text)) + text

    summary = explain(tmp_path, "model.cb", model(1), model(3)).summary
    assert "params.flat_params.depth 1 → 3, params.boosting.max_leaves 2 → 8; the trees" in summary


def spark_model(directory: Path, number: int, regularization: float) -> Path:
    digits = str(number) * 12
    uuid = f"{digits[:8]}-{digits[:4]}-{digits[:4]}-{digits[:4]}-{digits}"
    stage = f"sparkml/stages/1_LogisticRegression_{digits}"
    metadata = {"timestamp": number, "uid": f"LogisticRegression_{digits}", "paramMap": {"regParam": regularization}}
    files: Mapping[str, bytes] = {
        "MLmodel": b"flavors: {}\n",
        f"{stage}/metadata/part-00000-{uuid}-c000.txt": json.dumps(metadata).encode(),
        f"{stage}/metadata/.part-00000-{uuid}-c000.txt.crc": bytes([number]),
        f"{stage}/metadata/_SUCCESS": b"",
        f"{stage}/data/part-00000-{uuid}-c000.snappy.parquet": b"the same rows",
        f"{stage}/data/part-00001-{uuid}-c000.snappy.parquet": b"more rows",
        # At one path, these archives would be equivalent.
        f"{stage}/data/arrays.npz": zipped({"a": b"1"}, year=2000 + number),
    }
    for path, content in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(content)
    return directory


def test_spark_files_with_random_names_are_explained_by_their_counterparts(tmp_path: Path) -> None:
    comparison = compare_directories(spark_model(tmp_path / "1", 1, 0.1), spark_model(tmp_path / "2", 2, 0.2))
    assert verdict_of(comparison) == "different"
    summaries = {
        (str(difference.kind), stable_name(difference.path).rpartition("/")[2]): difference.explanation.summary
        for difference in comparison.differences
        if difference.explanation is not None
    }
    metadata = summaries["only_left", "part-00000-*-c000.txt"]
    assert metadata == "compared with its counterpart: paramMap.regParam 0.1 → 0.2"
    assert summaries["only_left", "part-00000-*-c000.snappy.parquet"].endswith("its counterpart: the same bytes")
    assert summaries["only_right", "part-00001-*-c000.snappy.parquet"].startswith("its counterpart is")
    assert len(comparison.differences) == 12
    assert summaries["only_right", ".part-00000-*-c000.txt.crc"].startswith("the checksum of part-00000-")
    # What changed comes first. Files with the same bytes, counterparts and checksums come last.
    ordered = in_order(comparison.differences)
    names = [stable_name(difference.path).rpartition("/")[2] for difference in ordered]
    assert names[:2] == ["arrays.npz", "part-00000-*-c000.txt"]
    is_explained_elsewhere = [
        bool(each.explanation and (each.explanation.explained_by or each.explanation.only_random)) for each in ordered
    ]
    assert is_explained_elsewhere == sorted(is_explained_elsewhere)
    assert sum(is_explained_elsewhere) == 10


def test_checksum_that_differs_for_a_file_with_the_same_bytes_is_not_explained_by_the_file(tmp_path: Path) -> None:
    for number in (1, 2):
        directory = tmp_path / str(number)
        directory.mkdir()
        digits = str(number) * 12
        part = f"part-00000-{digits[:8]}-{digits[:4]}-{digits[:4]}-{digits[:4]}-{digits}.parquet"
        (directory / "MLmodel").write_bytes(b"flavors: {}\n")
        (directory / part).write_bytes(b"the same rows")
        (directory / f".{part}.crc").write_bytes(bytes([number]))
    comparison = compare_directories(tmp_path / "1", tmp_path / "2")
    summaries = [each.explanation.summary for each in comparison.differences if each.explanation]
    assert "compared with its counterpart: the same bytes" in summaries
    assert not any("the checksum of" in summary for summary in summaries)


def test_spark_models_that_differ_only_in_random_names_are_different(tmp_path: Path) -> None:
    comparison = compare_directories(spark_model(tmp_path / "1", 1, 0.1), spark_model(tmp_path / "2", 2, 0.1))
    assert verdict_of(comparison) == "different"
    assert not any(difference.rewrite_reason for difference in comparison.differences)
    explanations = [difference.explanation for difference in comparison.differences]
    assert any("only what Spark draws at random: timestamp 1 → 2" in each.summary for each in explanations if each)
    assert any("same members" in each.summary for each in explanations if each)
    assert any("Copy the files of the logged model" in each.advice for each in explanations if each)
    assert not any(each.rewrite_reason for each in explanations if each)


@pytest.mark.parametrize(
    "path",
    ["part-00000-abc.txt", "model_1234.txt", "xpart-00000-11111111-1111-1111-1111-111111111111", "a_123456789012.x"],
)
def test_names_that_spark_does_not_draw_have_no_counterpart(path: str) -> None:
    assert stable_name(path) == path


def lightgbm(depth: int, leaves: int, header: str = "num_class=3") -> bytes:
    trees = "".join(f"Tree={number}\nnum_leaves={leaves}\nleaf_value=0.5 0.25\n\n\n" for number in range(12))
    return (
        f"tree\nversion=v4\n{header}\ntree_sizes={leaves} {leaves}\n\n{trees}end of trees\n\n"
        f"parameters:\n[boosting: gbdt]\n[max_depth: {depth}]\n\nend of parameters\n\npandas_categorical:[]\n"
    ).encode()


def test_explanation_names_the_changed_parameter_of_a_lightgbm_model(tmp_path: Path) -> None:
    explanation = explain(tmp_path, "model.lgb", lightgbm(3, 7), lightgbm(1, 2))
    assert explanation.kind == "LightGBM"
    assert explanation.summary == "max_depth 3 → 1, 12 of 12 trees changed (trees[0] 7 leaves → 2 leaves)"
    explanation = explain(tmp_path, "model.lgb", lightgbm(3, 7), lightgbm(3, 7).replace(b"0.25", b"0.26", 1))
    assert (
        explanation.summary
        == "1 of 12 trees changed (trees[0]: other splits or values), no parameter in the file changed"
    )
    explanation = explain(tmp_path, "model.lgb", lightgbm(3, 7), lightgbm(3, 7, "num_class=2"))
    assert explanation.summary == "num_class 3 → 2"


def test_lightgbm_model_with_too_much_text_is_explained_by_its_bytes(tmp_path: Path) -> None:
    explanation = explain(tmp_path, "model.lgb", lightgbm(3, 7), lightgbm(3, 7) + b"x" * 17 * 1024 * 1024)
    assert explanation.kind == "bytes"
    assert "LightGBM: it is larger than" in explanation.note


def boosted(nodes: int, base_score: str) -> dict[str, Any]:
    trees = [{"base_weights": [0.5] * nodes, "tree_param": {"num_nodes": str(nodes)}} for _ in range(3)]
    model = {"gradient_booster": {"model": {"trees": trees}}, "learner_model_param": {"base_score": base_score}}
    return {"learner": model}


@pytest.mark.parametrize("suffix, write", [("ubj", ubjson), ("json", lambda model: json.dumps(model).encode())])
def test_parameter_of_an_xgboost_model_is_named_before_its_trees(
    suffix: str, write: Callable[[Any], bytes], tmp_path: Path
) -> None:
    left = write(boosted(3, "0.5"))
    explanation = explain(tmp_path, f"model.{suffix}", left, write(boosted(1, "0.6")))
    nodes = "3 of 3 trees changed (learner.gradient_booster.model.trees[0].tree_param.num_nodes 3 → 1)"
    assert explanation.summary == f"learner.learner_model_param.base_score 0.5 → 0.6, {nodes}"
    assert explanation.fields[0].field == "learner.learner_model_param.base_score"
    explanation = explain(tmp_path, f"model.{suffix}", left, write(boosted(1, "0.5")))
    assert explanation.summary == f"{nodes}, no parameter in the file changed"


def test_long_value_does_not_hide_the_short_value_beside_it(tmp_path: Path) -> None:
    left, right = (json.dumps({"max_depth": depth, "handle": str(depth) * 200}).encode() for depth in (3, 1))
    assert explain(tmp_path, "a.json", left, right).summary == "max_depth 3 → 1, handle changed"


def packed(value: Any) -> bytes:
    """Return a value as MessagePack."""
    match value:
        case dict():
            return bytes([0x80 | len(value)]) + b"".join(packed(key) + packed(item) for key, item in value.items())
        case list() | tuple():
            return bytes([0x90 | len(value)]) + b"".join(map(packed, value))
        case bytes():
            return b"\xc4" + bytes([len(value)]) + value
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            return b"\xd3" + struct.pack(">q", value)
        case _:
            text = str(value).encode()
            return b"\xd9" + bytes([len(text)]) + text


def thinc(weights: tuple[float, ...], kind: str = "<f4", width: int = 3, attribute: bytes = b"\xc0") -> bytes:
    array = {b"nd": True, b"type": kind, b"kind": b"", b"shape": (len(weights),), b"data": struct.pack("<2f", *weights)}
    nodes = [{"index": 0, "name": "chain"}, {"index": 1, "name": "linear", "dims": {"nI": width}}]
    return packed({"nodes": nodes, "attrs": [{}, {"dropout": attribute}], "params": [{}, {"W": array}], "shims": []})


def test_explanation_names_the_layer_of_a_spacy_model(tmp_path: Path) -> None:
    path, left = "model.spacy/textcat/model", thinc((1.0, 2.0))
    explanation = explain(tmp_path, path, left, thinc((1.0, 2.5)))
    assert (explanation.kind, explanation.summary) == (
        "MessagePack",
        "linear (layer 1).W: 1 of 2 elements changed, largest difference 0.5",
    )
    assert explain(tmp_path, path, left, thinc((1.0, 2.0), width=4)).summary == "nodes[1].dims.nI 3 → 4"
    explanation = explain(tmp_path, path, left, thinc((1.0, 2.0), attribute=b"\xc2"))
    assert field_of(explanation, "linear (layer 1).dropout").left != "null"
    # Arrays of objects are compared by their parts.
    objects = (thinc((1.0, 2.0), "O8"), thinc((1.0, 2.0), "O4"))
    assert explain(tmp_path, path, *objects).summary == "linear (layer 1).W.type O8 → O4"


@pytest.mark.parametrize(
    "data",
    [
        thinc((1.0, 2.0))[:-5],
        thinc((1.0, 2.0)) + b"x",
        b"\x81\xa1a\xc6\xff\xff\xff\xff",
        b"\x81\xa1a\xdb\xff\xff\xff\xff",
        b"\x82\xa1a\xc0\xa1a\xc0",
        b"\x81\xa1a" + b"\x91" * 100,
        b"\x81\xa1a\xd4\x01\x01",
        b"\x81\xa1\xff\xc0",
        b"\xdf\xff\xff\xff\xff",
        b"\x81\xa1a\xdd\x00\x02\x00\x00" + b"\x01" * 0x20000,
    ],
    ids=map(str, range(10)),
)
def test_damaged_messagepack_is_explained_by_its_bytes(data: bytes, tmp_path: Path) -> None:
    assert explain(tmp_path, "model", thinc((1.0, 2.0)), data).kind in {"bytes", "text"}
    assert "could not be explained as MessagePack: " in explain(tmp_path, "model.msgpack", thinc((1.0, 2.0)), data).note


def no_license(name: str, more: str = "") -> bytes:
    return f"A license file could not be found for the '{name}' repository. \nVisit https://host/{name}.{more}".encode()


def test_name_of_the_base_model_in_a_missing_license_is_explained_with_advice(tmp_path: Path) -> None:
    explanation = explain(tmp_path, "LICENSE.txt", no_license("/a/base"), no_license("/b/base"))
    assert explanation.summary.startswith("only the name of the base model")
    assert "`ignore`" in explanation.advice
    assert explanation.rewrite_reason == ""
    for path, more in (("LICENSE.txt", "\nmore"), ("NOTICE.txt", "")):
        explanation = explain(tmp_path, path, no_license("/a/base"), no_license("/b/base", more))
        assert "line" in explanation.summary
        assert explanation.advice == ""


def fingerprint(uuid: str, graph: int = 5) -> bytes:
    return b"\x08\x01\x10" + bytes([graph]) + b"\x3a" + bytes([len(uuid)]) + uuid.encode()


def test_random_id_of_a_tensorflow_model_is_explained_with_advice(tmp_path: Path) -> None:
    path, left = "tf2model/fingerprint.pb", fingerprint("123")
    explanation = explain(tmp_path, path, left, fingerprint("456"))
    assert (explanation.kind, explanation.summary) == (
        "TensorFlow",
        "only uuid differs, which TensorFlow draws at random",
    )
    assert "`ignore`" in explanation.advice
    assert explanation.only_random
    assert explanation.rewrite_reason == ""
    explanation = explain(tmp_path, path, left, fingerprint("456", graph=6))
    assert (explanation.summary, explanation.only_random) == ("graph_def_program_hash changed", "")
    assert explain(tmp_path, path, left, b"\xff" * 9).kind == "bytes"


def test_numbers_in_names_of_tensorflow_functions_are_explained_with_advice(tmp_path: Path) -> None:
    path, left = "tf2model/saved_model.pb", b"\x00\x0a__inference_call_23\x00 __inference_save_7\x00"
    explanation = explain(tmp_path, path, left, left.replace(b"_23", b"_21"))
    assert "names of functions changed (__inference_call_23 → 21); the graph is not read" in explanation.summary
    assert "saved_model.pb" in explanation.advice
    assert explanation.rewrite_reason == ""
    for other in (left.replace(b"call_23", b"cell_23"), left[:-1] + b"\x01", left + b"__inference_more_8\x00"):
        assert explain(tmp_path, path, left, other).kind == "bytes"


def parquet(columns: bytes = b"columns", encodings: bytes = b"\x02\x06", rows: bytes = b"\x02") -> bytes:
    """Return a Parquet file with one column of these encodings, which are described in Thrift's compact protocol."""
    column = b"\x3c\x15\x02\x19" + bytes([len(encodings) << 4 | 5]) + encodings + b"\x00\x00"
    footer = b"\x36" + rows + b"\x19\x1c\x19\x1c" + column + b"\x00\x00"
    return b"PAR1" + columns + footer + struct.pack("<I", len(footer)) + b"PAR1"


def test_order_of_encodings_of_a_parquet_file_is_explained_as_random(tmp_path: Path) -> None:
    explanation = explain(tmp_path, "part-0.parquet", parquet(), parquet(encodings=b"\x06\x02"))
    assert (explanation.kind, explanation.only_random) == ("Parquet", "random orders of lists")
    assert "only the order of their encodings" in explanation.summary
    assert explanation.rewrite_reason == ""


@pytest.mark.parametrize(
    "other, summary",
    [
        (parquet(columns=b"columnz"), "1 of 36 bytes differ (3 %), the columns differ"),
        (parquet(columns=b"more columns"), "the columns differ"),
        (parquet(encodings=b"\x02\x02"), "the columns have the same bytes, and their description differs"),
        (parquet(encodings=b"\x02\x06\x06"), "the columns have the same bytes, and their description differs"),
        (parquet(rows=b"\x04"), "the columns have the same bytes, and their description differs"),
    ],
    ids=map(str, range(5)),
)
def test_changed_parquet_file_is_never_explained_as_random(other: bytes, summary: str, tmp_path: Path) -> None:
    explanation = explain(tmp_path, "part-0.parquet", parquet(), other)
    assert explanation.summary.endswith(summary)
    assert explanation.only_random == ""


@pytest.mark.parametrize(
    "footer",
    [
        b"\x19\x9c" + b"\x19\x9c" * 100,
        b"\x19\xfc\xff\xff\xff\xff\x0f",
        b"\x18\xff\xff\x7f",
        b"\x1e",
        b"\x00\x00",
        b"\x16" + b"\xff" * 12,
        b"",
    ],
    ids=map(str, range(7)),
)
def test_damaged_footer_of_a_parquet_file_is_explained_by_bytes(footer: bytes, tmp_path: Path) -> None:
    damaged = b"PAR1columns" + footer + struct.pack("<I", len(footer)) + b"PAR1"
    explanation = explain(tmp_path, "part-0.parquet", parquet(), damaged)
    assert explanation.kind == "bytes"
    assert "could not be explained as Parquet" in explanation.note
