"""`python -m tests.contract.golden`: keep a message of every sort for this version; what is kept already stays."""

from __future__ import annotations

from tests.contract.golden.files import add, current
from tests.contract.golden.samples import samples


def main() -> None:
    path = current()
    new = add(path, samples())
    print("\n".join(new) or f"{path.name} has one of every sort")


if __name__ == "__main__":
    main()
