"""The pages that explain the configuration: their examples load, and every section and column is explained."""

import re
import tomllib
from pathlib import Path

import pytest

from lifeline.config.models import ARRAYS, SECTIONS
from lifeline.core.schema import AREAS, POINTS

DOCS = Path(__file__).parents[2] / "docs"


def test_every_section_is_on_the_page() -> None:
    text = (DOCS / "configuration.md").read_text()
    for name in SECTIONS:
        assert f"`[{name}]`" in text
    for name in ARRAYS:
        assert f"`[[{name}]]`" in text


def test_every_registry_column_is_on_the_page() -> None:
    text = (DOCS / "configuration.md").read_text()
    for name in {*POINTS.names, *AREAS.names} - {"point"}:
        assert f"`{name}`" in text, name


def test_the_integrators_examples_are_valid_tables() -> None:
    blocks = re.findall(r"^( *)```toml\n(.*?)^\1```", (DOCS / "integrators.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    for _, block in blocks:
        for name, tables in tomllib.loads(re.sub(r"^ {3}", "", block, flags=re.MULTILINE)).items():
            for table in tables:
                model = ARRAYS[name].model_validate(table, strict=False)
                assert model.model_fields_set == set(table)


@pytest.mark.parametrize("page", ["configuration.md", "integrators.md"])
def test_lines_are_readable(page: str) -> None:
    for line in (DOCS / page).read_text().splitlines():
        assert line == line.rstrip()
        assert len(line) <= 200
