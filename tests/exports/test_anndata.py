"""AnnData: what scanpy needs to open and plot the cells."""

import json
import warnings

import numpy as np
import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.common.provenance import Provenance
from napari_cytodino.exports.tables import export
from napari_cytodino.taxonomy.taxonomy import NOT_A_CELL, Taxonomy

anndata = pytest.importorskip("anndata", reason="extra 'export' is not installed")

TAXONOMY = Taxonomy.load("mll21")
COLOURS = {c.code: c.colour for c in TAXONOMY.classes}
NOTES = Provenance("a.png", "demo", "00", True, {"min_confidence": 0.9})
REVIEWS = {
    7: (NOT_A_CELL, "A", "t"),
    10: (TAXONOMY.codes[5], "A", "t"),
    13: (TAXONOMY.codes[2], "B", "t"),
}


@pytest.fixture
def field(make_field):
    return make_field(reviews=REVIEWS)


def saved(field, path, **options):
    return anndata.read_h5ad(export(field.table, path, provenance=NOTES, **options))


def test_embeddings_are_x_and_the_rest_has_its_place(tmp_path, field):
    embeddings = field.predictions.embeddings
    back = saved(field, tmp_path / "c.h5ad", embeddings=embeddings)
    assert back.X.dtype == np.float32
    np.testing.assert_array_equal(back.X, embeddings)
    assert list(back.obs_names) == ["7", "10", "13", "16", "19", "22"]
    np.testing.assert_array_equal(back.obsm["spatial"], field.table[["x", "y"]])
    shares = field.table[[f"p_{code}" for code in TAXONOMY.codes]]
    np.testing.assert_allclose(back.obsm["probabilities"], shares)
    assert list(back.uns["classes"]) == list(TAXONOMY.codes)
    assert json.loads(back.uns["provenance"]) == NOTES.to_dict()
    for name in ("label", "area", "at_border", "confidence"):
        assert back.obs[name].tolist() == field.table[name].tolist()
    for name in ("status", "reason", "reviewer", "reviewed_at", "image", "checkpoint"):
        text = back.obs[name].astype(object).fillna("")
        assert text.tolist() == field.table[name].tolist()


def test_without_embeddings_x_is_the_probabilities(tmp_path, field):
    back = saved(field, tmp_path / "c.h5ad")
    assert list(back.var_names) == list(TAXONOMY.codes)
    np.testing.assert_array_equal(back.X, back.obsm["probabilities"])


def test_a_table_of_columns_alone_has_no_x(tmp_path, field):
    field.table = field.table[[c for c in field.table if not c.startswith("p_")]]
    assert saved(field, tmp_path / "c.h5ad").shape == (6, 0)


def test_classes_are_categories_in_the_taxonomys_order_with_its_colours(
    tmp_path, field
):
    back = saved(field, tmp_path / "c.h5ad")
    for name in ("cell_class", "final_class", "reviewed_class"):
        used = list(back.obs[name].cat.categories)
        order = [c for c in TAXONOMY.codes if c in used]
        assert used == [*order, *(c for c in used if c not in order)]
        wanted = [COLOURS.get(code, "#808080") for code in used]
        assert list(back.uns[f"{name}_colors"]) == wanted
        text = back.obs[name].astype(object).fillna("")
        assert text.tolist() == field.table[name].tolist()
    assert back.obs["final_class"].isna()["7"]
    assert NOT_A_CELL in back.obs["reviewed_class"].cat.categories
    assert len(back.uns["lineage_colors"]) == len(back.obs["lineage"].cat.categories)


def test_embeddings_of_other_cells_are_refused(tmp_path, field):
    with pytest.raises(InputError, match=r"\(5, 3\) do not fit a table of 6 cells"):
        saved(field, tmp_path / "c.h5ad", embeddings=np.zeros((5, 3)))
    assert list(tmp_path.iterdir()) == []


def test_labels_that_repeat_are_numbered(tmp_path, field):
    field.table["label"] = 1
    assert saved(field, tmp_path / "c.h5ad").obs_names.is_unique


def test_a_table_without_taxonomy_has_no_colours(tmp_path, field):
    field.table.attrs = {}
    assert "final_class_colors" not in saved(field, tmp_path / "c.h5ad").uns


@pytest.mark.slow
def test_scanpy_opens_and_plots_it(tmp_path, field):
    scanpy = pytest.importorskip("scanpy", reason="package 'scanpy' is not installed")
    import matplotlib as mpl
    from matplotlib import pyplot

    path = export(
        field.table, tmp_path / "c.h5ad", embeddings=field.predictions.embeddings
    )
    with mpl.rc_context({"backend": "agg"}), warnings.catch_warnings():
        warnings.simplefilter("error")
        # of matplotlib 3.11, about what scanpy itself calls
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        data = scanpy.read_h5ad(path)
        axes = scanpy.pl.embedding(
            data, "spatial", color="final_class", size=99, show=False
        )
        drawn = np.concatenate([c.get_facecolors() for c in axes.collections])
        legend = [text.get_text() for text in axes.get_legend().get_texts()]
        pyplot.close(axes.figure)
    used = data.obs["final_class"].cat.categories
    assert legend[: len(used)] == list(used)
    told = {mpl.colors.to_hex(colour).upper() for colour in drawn}
    assert told <= {COLOURS[code].upper() for code in used} | {"#D3D3D3"}
    assert {COLOURS[TAXONOMY.codes[5]].upper(), "#D3D3D3"} <= told
