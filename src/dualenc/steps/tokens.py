"""Token ids of all texts of a dataset."""

from pathlib import Path

from dualenc.data import collection
from dualenc.encoders import tokens
from dualenc.runtime.progress import reported


def tokenise(folder: Path, tokenizer_file: Path, output: Path) -> None:
    """Tokens of the passages and of the queries of each split."""
    columns = {"passages": "passages"} | {f"queries.{split}": split for split in collection.splits(folder)}
    texts = {
        column: reported(collection.texts(folder, name), column, "texts", len(collection.ids(folder, name)))
        for column, name in columns.items()
    }
    tokens.write(output, tokenizer_file, texts)
