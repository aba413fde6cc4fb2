"""Token ids of all texts of a dataset."""

from dualenc.data import collection
from dualenc.encoders.tokens import write
from dualenc.runtime.progress import reported
from dualenc.steps.arguments import Folder, OutputFolder


def tokens(dataset: Folder, tokenizer: Folder, output: OutputFolder) -> None:
    """Tokenise all texts of a dataset.

    Writes the tokens of the passages, and of the queries of each split.
    """
    columns = {"passages": "passages"} | {f"queries.{split}": split for split in collection.splits(dataset)}
    texts = {
        column: reported(collection.texts(dataset, name), column, "texts", len(collection.ids(dataset, name)))
        for column, name in columns.items()
    }
    write(output, tokenizer / "tokenizer.json", texts)
