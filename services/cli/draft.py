"""`urban draft`: writes what follows from the declaration of a domain and is not there yet."""

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.output import fail, say


def draft(
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="Name of a folder below services with a domain.py.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be written.")] = False,
) -> None:
    """Write the contract, tables and process that a domain still lacks, as drafts; what is there is left as it is.

    Of a new domain everything, of a new kind its contract and tables. Then `make proto` makes code of the contract.
    """
    from services.cli.domains import ROOT, DomainError, constant_of, read_domain
    from services.cli.drafts.files import left_to_people, missing_files

    root = ROOT.parent
    try:
        found = read_domain(domain)
        if found.name != domain:
            raise DomainError(f"services/{domain}/domain.py declares {found.name!r}, not {domain!r}")
        if not (root / "proto").is_dir():
            raise DomainError(f"{root} is no source tree: it has no folder proto")
        drafts, by_hand = missing_files(root, found, constant_of(domain)), left_to_people(root, found)
    except DomainError as error:
        fail(str(error))
    for path, text in drafts:
        if not dry_run:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
        print(path)
    for told in by_hand:
        say(told)
    if not drafts and not by_hand:
        say(f"{domain} lacks nothing")
