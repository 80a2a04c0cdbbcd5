"""What `lifeline init` writes: it documents every key, its defaults are the real ones, and it loads."""

import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest
from pydantic import BaseModel

from lifeline.config import init, load
from lifeline.config.intake import PayloadConfig, SubscribeConfig
from lifeline.config.models import ARRAYS, SECTIONS
from lifeline.core.errors import ConfigurationError
from lifeline.registry import read_areas, read_points, unknown_areas

TEXT = resources.files("lifeline").joinpath("templates", "lifeline.toml").read_text()
KEY = re.compile(r"^(#? ?)(\w+) = (.*)$")


def entries() -> list[tuple[str, str, bool, str]]:
    """(section, key, commented, rest of the line) for every key line of the template."""
    found, section = [], ""
    for line in TEXT.splitlines():
        header = re.match(r"^(?:# )?\[\[?(\w+)\]\]?\s*(?:#.*)?$", line)
        if header:
            section = header[1]
        elif match := KEY.match(line):
            found.append((section, match[2], match[1] != "", match[3]))
    return found


MODELS = SECTIONS | ARRAYS


def test_every_field_of_every_model_is_in_the_template() -> None:
    written = {(section, key) for section, key, _, _ in entries()}
    wanted = {(section, key) for section, model in MODELS.items() for key in model.model_fields}
    assert written == wanted


def test_nested_fields_are_in_the_template_too() -> None:
    for model in (SubscribeConfig, *nested(PayloadConfig)):
        for key in model.model_fields:
            assert re.search(rf"\b{key} = ", TEXT), f"{model.__name__}.{key}"


def nested(model: type[BaseModel]) -> list[type[BaseModel]]:
    from lifeline.config.intake import ReconnectConfig, TimeConfig, ValueConfig

    assert model is PayloadConfig
    return [TimeConfig, ValueConfig, ReconnectConfig]


@pytest.mark.parametrize(
    ("section", "key", "rest"),
    [pytest.param(s, k, rest, id=f"{s}.{k}") for s, k, commented, rest in entries() if commented],
)
def test_a_commented_value_is_the_default_or_marked_as_an_example(section: str, key: str, rest: str) -> None:
    value = tomllib.loads(f"value = {rest}")["value"]
    field = MODELS[section].model_fields[key]
    if field.is_required() or field.default is None:
        assert "# example" in rest or key == "client_id"
        return
    assert "# example" not in rest
    assert plain(field.default) == value


def plain(value: object) -> object:
    """A default as TOML would hold it."""
    if isinstance(value, BaseModel):
        return {name: plain(part) for name, part in value.model_dump().items()}
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def test_uncommented_keys_that_have_another_default_say_so() -> None:
    for section, key, commented, rest in entries():
        field = MODELS[section].model_fields[key]
        if commented or field.is_required() or field.default is None or section == "broker":
            continue
        value = tomllib.loads(f"value = {rest}")["value"]
        assert value == plain(field.default) or "default" in rest or key == "name"


def test_init_writes_a_site_that_loads(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "gas.toml").write_text("# rules\n")
    (tmp_path / "library" / "README.md").write_text("no rule\n")
    written = init(tmp_path / "new" / "site", tmp_path / "library")
    site = tmp_path / "new" / "site"
    assert [path.relative_to(site).as_posix() for path in written] == [
        "lifeline.toml",
        "sensors.csv",
        "areas.csv",
        "rules/gas.toml",
    ]
    config = load(site / "lifeline.toml")
    assert config.site.timezone == "Asia/Shanghai"
    assert config.rule_files == (site / "rules" / "gas.toml",)
    assert config.registry.file is not None
    assert config.registry.areas is not None
    points, areas = read_points(config.registry.file), read_areas(config.registry.areas)
    assert set(points["utility"].to_pylist()) == {"gas", "water", "heat"}
    assert len(set(points["device_id"].to_pylist())) == 13
    assert unknown_areas(points, areas, "sensors.csv") == []


def test_init_overwrites_nothing_and_says_what_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "sensors.csv").write_text("mine\n")
    (tmp_path / "areas.csv").write_text("mine\n")
    with pytest.raises(ConfigurationError) as caught:
        init(tmp_path, tmp_path / "library")
    assert [Path(problem.file).name for problem in caught.value.problems] == ["sensors.csv", "areas.csv"]
    assert (tmp_path / "sensors.csv").read_text() == "mine\n"
    assert not (tmp_path / "lifeline.toml").exists()


def test_init_into_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "occupied").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        init(tmp_path / "occupied", tmp_path / "library")
