"""The WordPiece tokenizer of a dataset."""

from pathlib import Path

from dualenc import datasets, tokens


def tokenizer(folder: Path, vocabulary: int, max_length: int, output: Path) -> None:
    """Train the tokenizer on the train split: its queries and their passages, nothing of the other splits.

    Raises ``UserError`` as ``datasets.check_folder`` does, before anything is written.
    """
    datasets.check_folder(folder)
    passages = datasets.passages(folder).set_index("pid").text
    relevant = [pid for judged in datasets.qrels(folder, "train").values() for pid, rel in judged.items() if rel > 0]
    texts = [*datasets.queries(folder, "train").text, *passages[relevant]]
    tokens.train_tokenizer(texts, vocabulary, max_length, output)
