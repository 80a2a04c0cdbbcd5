"""``user add | list | link | disable``, ``token create | list | revoke``: accounts."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from lifeline.cli.output import DEFAULT_CONFIG, GOOD, AsJson, ConfigFile, console, failures, print_json, say, table

user_app = typer.Typer(help="Accounts: who may do what, and where. 账号。", no_args_is_help=True)
token_app = typer.Typer(help="Bearer tokens for programs. 访问令牌。", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The account's name.")]
Areas = Annotated[list[str] | None, typer.Option("--area", help="An area code and all within; may be repeated.")]
Utilities = Annotated[list[str] | None, typer.Option("--utility", help="gas, water or heat; may be repeated.")]


def split(values: list[str] | None) -> list[str]:
    """Repeated options and comma lists alike."""
    return [part.strip() for value in values or () for part in value.split(",") if part.strip()]


@user_app.command()
def add(
    name: Name,
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    role: Annotated[
        list[str],
        typer.Option(help="viewer operator dispatcher analyst auditor admin security reporter; may be repeated."),
    ],
    area: Areas = None,
    utility: Utilities = None,
    grade: Annotated[str, typer.Option(help="Data grade: general, important, core.")] = "general",
    display: Annotated[str, typer.Option(help="The person's name.")] = "",
    oidc: Annotated[str | None, typer.Option(help="ISSUER|SUBJECT at the identity provider; no password then.")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from stdin; default: a one-time link.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Make an account. Without a password it prints a one-time link with which its owner chooses one."""
    from lifeline.app.identity import add_user

    password = sys.stdin.readline().rstrip("\n") if password_stdin else None
    with failures(as_json=json):
        made = add_user(
            config, name.strip().lower(), roles=split(role), areas=split(area), utilities=split(utility), grade=grade,
            display=display, subject=oidc, password=password,
        )  # fmt: skip
        if json:
            print_json(made)
            return
        say(GOOD, f" {made['name']}: {', '.join(made['roles'])}")
        if made["link"]:
            say(f"  one-time link 一次性链接 (24 h): {made['link']}")


@user_app.command("list")
def list_(*, config: ConfigFile = DEFAULT_CONFIG, json: AsJson = False) -> None:
    """Accounts and what they were granted."""
    from lifeline.app.identity import list_users

    with failures(as_json=json):
        rows = list_users(config)
        if json:
            print_json({"users": rows})
            return
        for row in rows:
            row["grants"] = "; ".join(_grant(grant) for grant in row["grants"])
        table("", ["name", "display", "grants", "grade", "disabled_at"], rows, empty="No accounts yet.")


def _grant(grant: dict[str, Any]) -> str:
    role: str = grant["role"]
    limits = ",".join(grant["areas"] + grant["utilities"])
    return role + (f" ({limits})" if limits else "")


@user_app.command()
def link(name: Name, *, config: ConfigFile = DEFAULT_CONFIG, json: AsJson = False) -> None:
    """Print a link that signs in once."""
    from lifeline.app.identity import sign_in_link

    with failures(as_json=json):
        url = sign_in_link(config, name)
        if json:
            print_json({"name": name, "link": url})
        else:
            console().print(url, soft_wrap=True)


@user_app.command()
def disable(name: Name, *, config: ConfigFile = DEFAULT_CONFIG, json: AsJson = False) -> None:
    """Close an account: its sessions and tokens end at once."""
    from lifeline.app.identity import disable_user

    with failures(as_json=json):
        disable_user(config, name)
        if json:
            print_json({"name": name, "disabled": True})
        else:
            say(GOOD, f" {name} is disabled")


@token_app.command()
def create(
    name: Name,
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    days: Annotated[float, typer.Option(help="Its life, up to 366 days.")] = 90.0,
    role: Annotated[list[str] | None, typer.Option(help="Only these of the account's roles; may be repeated.")] = None,
    area: Areas = None,
    utility: Utilities = None,
    json: AsJson = False,
) -> None:
    """Make a token for an account. It is shown this once; only its digest is kept."""
    from lifeline.app.identity import create_token

    with failures(as_json=json):
        made = create_token(
            config, name, label=label, days=days, roles=split(role) or None, areas=split(area), utilities=split(utility)
        )
        if json:
            print_json(made)
            return
        out = console()
        out.print(f"{made['token']}", soft_wrap=True)
        console(stderr=True).print(
            f"  id {made['token_id']} of {name}, {days:g} days; this is the only time it is shown", soft_wrap=True
        )


@token_app.command("list")
def list_tokens_(
    name: Annotated[str | None, typer.Argument(help="Only of this account.")] = None,
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    json: AsJson = False,
) -> None:
    """Tokens, newest first, without their secrets."""
    from lifeline.app.identity import list_tokens

    with failures(as_json=json):
        rows = list_tokens(config, name)
        if json:
            print_json({"tokens": rows})
        else:
            table("", ["token_id", "account", "label", "roles", "expires_at", "revoked_at"], rows, empty="No tokens.")


@token_app.command()
def revoke(
    token: Annotated[str, typer.Argument(help="The token's id.")],
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    json: AsJson = False,
) -> None:
    """Revoke a token; the next request with it is refused."""
    from lifeline.app.identity import revoke_token

    with failures(as_json=json):
        token_id = revoke_token(config, token)
        if json:
            print_json({"token_id": token_id, "revoked": True})
        else:
            say(GOOD, f" {token_id} is revoked")
