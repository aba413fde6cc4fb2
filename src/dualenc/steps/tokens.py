"""Token ids of all texts of a dataset."""

from pathlib import Path

from dualenc import datasets, tokens


def tokenise(folder: Path, tokenizer_file: Path, output: Path) -> None:
    """Tokens of the passages and of the queries of each split."""
    columns = {"passages": datasets.passages(folder).text.tolist()}
    columns |= {f"queries.{split}": datasets.queries(folder, split).text.tolist() for split in datasets.splits(folder)}
    tokens.write(output, tokenizer_file, columns)
