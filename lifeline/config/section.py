"""What every table of the file has in common, and values that several of them hold."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from lifeline.config.address import parse_listen

NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"


class Section(BaseModel):
    """A table of the file: unknown keys are refused, values are not converted, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=False)


def _listen(text: str) -> str:
    parse_listen(text)
    return text


Name = Annotated[str, Field(pattern=NAME, description="letters, digits, _ . - (64 at the most)")]
ListenText = Annotated[str, AfterValidator(_listen), Field(description="write host:port, such as 127.0.0.1:8600")]
