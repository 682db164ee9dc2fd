"""``python -m imgrestore``: the command line."""

from imgrestore.cli import app

if __name__ == "__main__":
    app(prog_name="imgrestore")
