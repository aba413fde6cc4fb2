"""The WordPiece tokenizer of a study."""

from collections.abc import Sequence
from pathlib import Path

from dualenc.data import collection
from dualenc.encoders import tokens


def tokenizer(folders: Sequence[Path], vocabulary: int, max_length: int, output: Path) -> None:
    """Train the tokenizer on train splits: their queries and their passages, nothing of the other splits.

    Raises ``UserError`` as ``collection.check_folder`` does, before anything is written.
    """
    texts = []
    for folder in folders:
        collection.check_folder(folder)
        judged = collection.qrels(folder, "train").values()
        relevant = dict.fromkeys(pid for one in judged for pid, rel in one.items() if rel > 0)
        passages = collection.passages(folder, relevant).set_index("pid").text
        texts += [*collection.queries(folder, "train").text, *passages[list(relevant)]]
    tokens.train_tokenizer(texts, vocabulary, max_length, output)
