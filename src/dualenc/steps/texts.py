"""Texts of train splits without their labels, to pre-train on, and what a sentence encoder says about them."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from dualenc.data import arrays, collection
from dualenc.data.sampling import in_hash_order
from dualenc.encoders import packages, tokens
from dualenc.miniatures import sentence_encoder
from dualenc.runtime import provenance, states
from dualenc.runtime.files import atomic_entries, md5, write_json
from dualenc.runtime.progress import reported
from dualenc.steps.arguments import Folder, OutputFolder, Params, Scratch, set_torch_threads
from dualenc.study.schema import Counts, SentenceEncoder
from dualenc.study.settings import UnlabelledTexts

AT_ONCE = 1024  # texts, in a part that is kept


def texts(
    params: Params[UnlabelledTexts], data: Folder, tokenizer: Folder, scratch: Scratch, output: OutputFolder
) -> None:
    """Take texts to pre-train on from train splits, and encode them with a sentence encoder.

    ``data/<dataset>`` are the dataset folders. Writes the texts as a column of tokens, ``texts``, and, if there is a
    sentence encoder, its vectors of them: ``sentences.npy`` (N, D) are unit vectors of the texts, ``pieces.npy``
    (total, P) vectors of their word pieces as `dualenc.miniatures.sentence_encoder` has them, NaN for what it did not
    read; both float16. Raises ``UserError`` as ``sentence_encoder.packaged`` and ``collection.check_folder`` do.
    """
    set_torch_threads()
    encoder = params.sentence_encoder
    model = packages.checked(encoder.package, encoder.path, encoder.sha256) if encoder else None
    found = chosen(data, params.texts)[: params.most_texts]
    tokenizer_file = tokenizer / "tokenizer.json"
    inputs = [data / name / "manifest.json" for name in params.texts] + [tokenizer_file]
    about = params.model_dump(exclude={"tokens_per_batch"})
    state = states.state_folder(scratch, about, inputs, provenance.code("steps.texts"))
    with states.locked(state), atomic_entries(output) as temporary:
        tokens.write(temporary, tokenizer_file, {"texts": found})
        if encoder:
            said = list(_said(found, model, encoder, tokenizer_file, params.tokens_per_batch, state))
            for name, column in zip(("sentences", "pieces"), zip(*said, strict=True), strict=True):
                width = arrays.read(column[0], 2).shape[1]
                arrays.write(temporary / f"{name}.npy", (arrays.read(path, 2) for path in column), np.float16, width)
        write_json(temporary / "about.json", {**about, "inputs": {str(path): md5(path) for path in inputs}})
        shutil.rmtree(state)


def chosen(data: Path, counts: Mapping[str, Counts]) -> list[str]:
    """The texts, each once: as many queries and passages of train splits as ``counts`` asks for, in hash order.

    Passages are those that are relevant to a train query, so nothing of the other splits is read.
    """
    found: list[str] = []
    for name, count in counts.items():
        folder = data / name
        collection.check_folder(folder)
        queries = collection.queries(folder, "train").set_index("qid").text
        found += queries[in_hash_order(list(queries.index))[: count.queries]].tolist()
        judged = collection.qrels(folder, "train").values()
        relevant = list(dict.fromkeys(pid for one in judged for pid, rel in one.items() if rel > 0))
        relevant = in_hash_order(relevant)[: count.passages]
        found += collection.passages(folder, set(relevant)).set_index("pid").text[relevant].tolist()
    return in_hash_order(list(dict.fromkeys(found)))


def _said(
    texts: list[str], model: Path, encoder: SentenceEncoder, tokenizer_file: Path, tokens_per_batch: int, state: Path
) -> Iterator[tuple[Path, Path]]:
    """Files with the vectors of some texts, and of their pieces, in order; those that are there are kept."""
    own = tokens.read_tokenizer(tokenizer_file)
    own.no_padding()
    own.no_truncation()
    sentences = sentence_encoder.Sentences(model, encoder, tokens_per_batch)
    kept = state / "basis.npy"
    if not kept.exists():
        basis = sentences.basis(texts[: sentence_encoder.BASIS])
        arrays.write(kept, [basis], np.float32, basis.shape[1])
    basis = arrays.read(kept, 2)
    for start in reported(range(0, len(texts), AT_ONCE), "sentence encoder", "parts", -(-len(texts) // AT_ONCE)):
        paths = state / f"{start}.sentences.npy", state / f"{start}.pieces.npy"
        if not paths[1].exists():
            some = texts[start : start + AT_ONCE]
            words = [encoding.word_ids for encoding in own.encode_batch(some, add_special_tokens=False)]
            for path, rows in zip(paths, sentences.say(some, words, basis), strict=True):
                arrays.write(path, [rows], np.float16, rows.shape[1])
        yield paths
