"""
The manual pages and shell completions in share/, as they follow from the tables of options and commands.

    python -m tests.make_manual         # writes them; after a change of options.py or of the table of commands
"""

from pathlib import Path

from p2pchat.manual.completion import script
from p2pchat.manual.pages import peer_page, server_page

SHARE = Path(__file__).resolve().parent.parent / "share"


def made() -> dict[str, str]:
    """Every file by its path under share/."""
    return {
        "man/man1/p2pchat.1": peer_page(),
        "man/man1/p2pchat-server.1": server_page(),
        "bash-completion/completions/p2pchat": script("bash"),
        "zsh/site-functions/_p2pchat": script("zsh"),
        "fish/vendor_completions.d/p2pchat.fish": script("fish"),
    }


def main() -> None:
    """Write them."""
    for name, text in made().items():
        path = SHARE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(path)


if __name__ == "__main__":
    main()
