"""``python -m imgrestore``: the command line."""

from imgrestore.cli import app

if __name__ == "__main__":
    try:
        app(prog_name="imgrestore")
    finally:
        # Python ends by SIGINT, whatever the status, where an interrupt came while it executed text, as in the making
        # of a dataclass; executing text once more lets it forget.
        exec("")
