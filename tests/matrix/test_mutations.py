"""The mutations can be made: each finds its place in the code, and the test that has to notice it."""

from __future__ import annotations

import pytest

from tests.matrix.mutations import MUTATIONS, ROOT, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_finds_its_place_and_its_test(mutation: Mutation) -> None:
    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1
    file, _, name = mutation.test.partition("::")
    assert f"def {name.rpartition('::')[2].partition('[')[0]}(" in (ROOT / file).read_text()
