"""The notebooks of ``examples/`` run from top to bottom."""

from __future__ import annotations

from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient", reason="pip install nbclient ipykernel")
nbformat = pytest.importorskip("nbformat", reason="pip install nbformat")

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.heavy
@pytest.mark.parametrize("notebook", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook(notebook: Path) -> None:
    cells = nbformat.read(notebook, as_version=4)
    assert not any(cell.get("outputs") for cell in cells.cells), "commit notebooks without outputs"
    nbclient.NotebookClient(cells, timeout=300, kernel_name="python3").execute(
        cwd=str(EXAMPLES.parent)
    )
