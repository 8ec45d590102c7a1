"""The command line of a tool of `dev`."""

import argparse


def parser_of(name: str, text: str | None) -> argparse.ArgumentParser:
    """Return the parser of a tool that is called by `name`; its help shows the lines of `text` as they are."""
    return argparse.ArgumentParser(
        prog=name, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
