"""The WordPiece tokenizer of a study."""

from collections.abc import Sequence
from pathlib import Path

from dualenc import datasets, tokens


def tokenizer(folders: Sequence[Path], vocabulary: int, max_length: int, output: Path) -> None:
    """Train the tokenizer on train splits: their queries and their passages, nothing of the other splits.

    Raises ``UserError`` as ``datasets.check_folder`` does, before anything is written.
    """
    texts = []
    for folder in folders:
        datasets.check_folder(folder)
        judged = datasets.qrels(folder, "train").values()
        relevant = dict.fromkeys(pid for one in judged for pid, rel in one.items() if rel > 0)
        passages = datasets.passages(folder, relevant).set_index("pid").text
        texts += [*datasets.queries(folder, "train").text, *passages[list(relevant)]]
    tokens.train_tokenizer(texts, vocabulary, max_length, output)
