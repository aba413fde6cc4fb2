"""The WordPiece tokenizer of a study."""

from dualenc.data import collection
from dualenc.encoders import tokens
from dualenc.steps.arguments import Folders, OutputFolder, Params
from dualenc.study.settings import Tokenizer


def tokenizer(params: Params[Tokenizer], dataset: Folders, output: OutputFolder) -> None:
    """Train a WordPiece tokenizer on the train split of one or more datasets.

    It sees their train queries and the passages relevant to these, nothing of the other splits. Raises ``UserError`` as
    ``collection.check_folder`` does, before anything is written.
    """
    texts = []
    for folder in dataset:
        collection.check_folder(folder)
        judged = collection.qrels(folder, "train").values()
        relevant = dict.fromkeys(pid for one in judged for pid, rel in one.items() if rel > 0)
        passages = collection.passages(folder, relevant).set_index("pid").text
        texts += [*collection.queries(folder, "train").text, *passages[list(relevant)]]
    tokens.train_tokenizer(texts, params.vocabulary, params.pair, output)
