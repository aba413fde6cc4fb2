"""Words of any script, however they are encoded."""

import re
import sys
import unicodedata

import pytest

from dualenc.data.words import FOREIGN, WORD, normalised, words

EVERY = [chr(code) for code in range(sys.maxunicode + 1)]


@pytest.mark.parametrize(
    "text",
    [
        "विद्यार्थी किताबें पानी",
        "বাংলা ভাষা",
        "தமிழ் மொழி",
        "مُحَمَّد كِتَاب",
        "שָׁלוֹם עוֹלָם",
        "မြန်မာ ဘာသာ",
        "tiếng việt",
        "한국어 물",
        "straße naïve",
        "i\u0307stanbul",
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_what_is_between_spaces_is_a_word(text, form):
    expected = unicodedata.normalize("NFC", text).split()
    assert words(f"({unicodedata.normalize(form, text)}!) ") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("क्\u200dष می\u200cخواهم", ["क्ष", "میخواهم"]),
        ("Über\u00adset\u00adzung", ["übersetzung"]),
        ("葛\U000e0100城", ["葛城"]),
        ("ภาษา\u200bไทย", ["ภาษา", "ไทย"]),
        ("CAFÉ, Café; cafe\u0301", ["café"] * 3),
        ("İSTANBUL", ["i\u0307stanbul"]),
        ("\U0001f600 ❤\ufe0f — “x_1”, ½ x² ٣٤", ["x_1", "½", "x²", "٣٤"]),
    ],
)
def test_characters_that_are_not_drawn_neither_cut_a_word_nor_change_it(text, expected):
    assert words(text) == expected


def test_a_character_is_in_words_as_in_python_or_a_mark():
    text = "".join(EVERY)
    inside, foreign = set("".join(WORD.findall(text))), set("".join(FOREIGN.findall(text)))
    assert foreign == {one for one in set(EVERY) - inside if not one.isascii()}
    known = {one for one in EVERY if unicodedata.category(one) != "Cn"}  # the library may know a later Unicode
    marks = {one for one in known if unicodedata.category(one).startswith("M")}
    assert inside & known == set(re.findall(r"\w", text)) | marks


def test_every_encoding_of_a_character_is_the_same_word():
    for one in EVERY:
        if not unicodedata.is_normalized("NFD", one):
            composed, decomposed = (unicodedata.normalize(form, one) for form in ("NFC", "NFD"))
            assert normalised(f"a{one}") == normalised(f"a{composed}") == normalised(f"a{decomposed}")
