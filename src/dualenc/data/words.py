"""What a word is, in any script: the same for BM25 and wherever the words of two texts are compared.

A word is a run of letters, combining marks, numbers and underscores: ``\\w`` of Python's ``re``, and the marks that it
lacks. Vowel signs of Indic scripts are marks, and so are accents in decomposed text: without them a word falls to
pieces.
"""

import unicodedata

import regex

# Characters that are not drawn are not part of a word's spelling and do not end it: joiners, which Indic scripts and
# Persian have within words, soft hyphens, variation selectors. U+200B is the exception: it stands for a space.
UNSEEN = regex.compile(r"[\p{Default_Ignorable_Code_Point}--\u200b]", regex.VERSION1)
WORD = regex.compile(r"[_\p{L}\p{M}\p{N}]+")
# The other characters beyond ASCII. In this order, ASCII costs little.
FOREIGN = regex.compile(r"[^\x00-\x7f\p{L}\p{M}\p{N}]")


def normalised(text: str) -> str:
    """``text`` in lower case, without characters that are not drawn, and in Unicode's form NFC.

    So a word is the same however it is encoded: "é" may be one character or a letter and an accent.
    """
    lower = text.lower()
    # Composing comes last, as lower-casing may leave a letter and an accent.
    return lower if lower.isascii() else unicodedata.normalize("NFC", UNSEEN.sub("", lower))


def words(text: str) -> list[str]:
    """The words of a text, `normalised`."""
    return WORD.findall(normalised(text))
