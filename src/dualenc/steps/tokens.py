"""Token ids of all texts of a dataset."""

from pathlib import Path

from dualenc import datasets, tokens
from dualenc.progress import reported


def tokenise(folder: Path, tokenizer_file: Path, output: Path) -> None:
    """Tokens of the passages and of the queries of each split."""
    columns = {"passages": "passages"} | {f"queries.{split}": split for split in datasets.splits(folder)}
    texts = {
        column: reported(datasets.texts(folder, name), column, "texts", len(datasets.ids(folder, name)))
        for column, name in columns.items()
    }
    tokens.write(output, tokenizer_file, texts)
