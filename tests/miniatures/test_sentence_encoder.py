"""What a sentence encoder says of texts and words, and the package that it comes with."""

import hashlib
import sys

import numpy as np
import pytest

import tiny_study
from dualenc.data import collection
from dualenc.encoders import packages, tokens
from dualenc.miniatures.sentence_encoder import Sentences
from dualenc.runtime.errors import UserError
from dualenc.scorers.kinds import dual_encoder
from dualenc.steps.pretrain import unlabelled
from dualenc.steps.texts import chosen, texts
from dualenc.study.settings import UnlabelledTexts

COUNTS = tiny_study.pretraining().texts


@pytest.fixture(scope="module")
def encoder(tiny, tmp_path_factory):
    """The parameters of a sentence encoder, in a package that can be found: the tiny study's own encoder."""
    root = tmp_path_factory.mktemp("site")
    package = root / "tiny_encoder"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n", encoding="utf-8")
    model = dual_encoder.start(tiny / "encoder", pooling="mean", dropout=0.0, gain=1.0, max_length=16)
    model.save(str(package / "model"), create_model_card=False)
    digest = hashlib.sha256((package / "model" / "model.safetensors").read_bytes()).hexdigest()
    sys.path.insert(0, str(root))
    yield tiny_study.SENTENCE_ENCODER.model_copy(update={"sha256": digest})
    sys.path.remove(str(root))


def test_vectors_are_the_encoders(encoder, tiny):
    """Of the text as a whole, and of each word the mean of its pieces, in the directions that are kept."""
    found = [text for text in chosen(tiny, COUNTS) if text.isascii()][:40]
    sentences = Sentences(packages.checked(encoder.package, encoder.path, encoder.sha256), encoder, 128)
    basis = sentences.basis(found)
    own = tokens.read_tokenizer(tiny / "tokenizer" / "tokenizer.json")
    words = [encoding.word_ids for encoding in own.encode_batch(found, add_special_tokens=False)]
    vectors, pieces = sentences.say(found, words, basis)
    model = sentences.model
    np.testing.assert_allclose(vectors, model.encode(found), rtol=1e-4, atol=1e-5)
    states = model.encode(found, output_value="token_embeddings")
    start = 0
    for of, state in zip(words, states, strict=True):
        state = state.numpy()[1:-1]
        for piece, word in enumerate(of):
            same = [row for row in range(len(state)) if of[row] == word]
            said = pieces[start + piece]
            if same:
                np.testing.assert_allclose(said, (state[same].mean(0) - basis[0]) @ basis[1:].T, rtol=1e-3, atol=1e-4)
            else:
                assert np.isnan(said).all()  # the encoder reads 16 tokens
        start += len(of)
    assert np.isnan(pieces).any() and start == len(pieces)


def test_directions_have_one_scale(encoder, tiny):
    found = chosen(tiny, COUNTS)
    sentences = Sentences(packages.checked(encoder.package, encoder.path, encoder.sha256), encoder, 128)
    basis = sentences.basis(found)
    assert basis.shape == (1 + encoder.directions, 16)
    words = np.concatenate([words for _, _, words in sentences._read(found)])
    projected = (words - basis[0]) @ basis[1:].T
    assert np.mean(projected**2) == pytest.approx(1, rel=1e-3)
    assert np.all(np.diff((projected**2).mean(0)) <= 1e-6)  # principal components, the first one first


def test_texts_are_those_of_the_train_split_each_once(tiny):
    found = chosen(tiny, COUNTS)
    folder = tiny / "dataset"
    relevant = {pid for judged in collection.qrels(folder, "train").values() for pid in judged}
    train = {*collection.queries(folder, "train").text, *collection.passages(folder, relevant).text}
    assert len(found) == len(set(found)) and set(found) <= train
    counts = COUNTS["dataset"]
    assert counts.passages < len(found) <= counts.queries + counts.passages


def test_the_step_writes_what_a_pretraining_reads(encoder, tiny, tmp_path, monkeypatch):
    """The same after an interruption, which leaves no output and whose parts are not made again."""
    monkeypatch.setattr("dualenc.steps.texts.AT_ONCE", 64)
    say, sizes = Sentences.say, []

    def interrupted(self, some, *others):
        if len(sizes) == 4:  # three parts of the first call, and one of the second
            sizes.append(0)
            raise KeyboardInterrupt
        sizes.append(len(some))
        return say(self, some, *others)

    monkeypatch.setattr(Sentences, "say", interrupted)
    params = UnlabelledTexts(texts=COUNTS, most_texts=150, sentence_encoder=encoder, tokens_per_batch=4096)
    whole = params, tiny, tiny / "tokenizer", tmp_path / "scratch"
    texts(*whole, tmp_path / "once" / "texts")
    output = tmp_path / "again" / "texts"
    with pytest.raises(KeyboardInterrupt):
        texts(*whole, output)
    assert not output.exists()
    texts(*whole, output)
    assert sizes == [64, 64, 22, 64, 0, 64, 22]
    files = sorted(path.name for path in output.iterdir())
    assert files == ["about.json", "manifest.json", "pieces.npy", "sentences.npy", "texts.ids.npy", "texts.offsets.npy"]
    for name in files:
        assert (tmp_path / "once" / "texts" / name).read_bytes() == (output / name).read_bytes(), name
    found = unlabelled(output)
    assert len(found.sentences) == len(found.texts.lengths()) == 150 and len(found.pieces) == len(found.texts.ids)


def test_a_package_that_is_missing_or_another_is_refused(encoder):
    with pytest.raises(UserError, match=r"'no_such_encoder' is not installed: run `pip install no-such-encoder`"):
        packages.checked("no_such_encoder", encoder.path, encoder.sha256)
    with pytest.raises(UserError, match=r"model.safetensors is missing: install the package 'tiny_encoder' again"):
        packages.checked(encoder.package, "elsewhere", encoder.sha256)
    with pytest.raises(UserError, match=r"has SHA-256 .* not 0000"):
        packages.checked(encoder.package, encoder.path, "0" * 64)
