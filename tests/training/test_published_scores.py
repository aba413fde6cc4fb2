"""Published scores as lists: against a plain grouping, in any order of rows, and what is said of wrong lines."""

import json
import random
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from dualenc.runtime.errors import UserError
from dualenc.training import published_scores, score_rows

REPOSITORY = Path(__file__).parents[2]
LENGTH = 4
PASSAGES = np.arange(90, dtype=np.uint32)  # of 100 that rows name
QUERIES = np.arange(45, dtype=np.uint32)[::-1]  # of 50


def score(query, passage):
    """A score that is the pair's own, with few digits, so that it can be written exactly."""
    return ((query * 37 + passage * 101) % 640 - 320) / 32


def triples(count=4000, seed=1):
    """Rows as their fields; positives of a query are the negatives of some of its rows, too."""
    generator = random.Random(seed)
    drawn = {(q := generator.randrange(50), q + generator.randrange(2), generator.randrange(100)) for _ in range(count)}
    return [(score(q, pos), score(q, neg), q, pos, neg) for q, pos, neg in sorted(drawn)]


def lines(rows):
    return ["\t".join(map(str, row)).encode() + b"\n" for row in rows]


@pytest.fixture
def read(tmp_path):
    """Read lines (bytes) as a file of published scores."""

    def call(content, **options):
        path, scratch = tmp_path / "scores.tsv", tmp_path / "scratch"
        path.write_bytes(b"".join(content))
        shutil.rmtree(scratch, ignore_errors=True)  # a call goes on where one with the same arguments was
        scratch.mkdir()
        options = {"list_length": LENGTH, "tolerance": 0, "allowed_defects": 0} | options
        return published_scores.read(path, QUERIES, PASSAGES, scratch=scratch, **options)

    return call


def as_dict(lists):
    rows = zip(lists.queries, lists.passages, lists.labels, lists.scores, strict=True)
    return {int(q): list(zip(p.tolist(), y.tolist(), s.tolist(), strict=True)) for q, p, y, s in rows}


def plain(rows):
    """The same grouping with dictionaries: the lists with the highest scores, and all negatives of each query."""
    positives, scores = defaultdict(set), defaultdict(dict)
    for pos_score, neg_score, query, pos, neg in rows:
        positives[query].add(pos)
        scores[query] |= {pos: pos_score, neg: neg_score}
    top, negatives = {}, {}
    for query in QUERIES.tolist():
        known = {pid: value for pid, value in scores[query].items() if pid < len(PASSAGES)}
        best = sorted(known, key=lambda pid: (-known[pid], pid))
        first = [pid for pid in best if pid in positives[query]][: LENGTH - 1]
        negatives[query] = [pid for pid in best if pid not in positives[query]]
        if first and len(first) + len(negatives[query]) >= LENGTH:
            chosen = [*first, *negatives[query][: LENGTH - len(first)]]
            top[query] = [(pid, pid in positives[query], known[pid]) for pid in chosen]
    return top, negatives


@pytest.mark.parametrize("count", [60, 400, 4000])
def test_a_plain_grouping_gives_the_same_lists(read, count):
    rows = triples(count)
    sampled, top, counts = read(lines(rows))
    expected, negatives = plain(rows)
    assert as_dict(top) == expected
    assert list(as_dict(top)) == [query for query in QUERIES.tolist() if query in expected]
    asked = {row[2] for row in rows if row[2] in QUERIES}
    assert counts["rows"] == len(rows) and counts["defects"] == 0 and counts["queries"] == len(asked)
    assert counts["too_few_passages"] == len(asked) - len(expected)
    assert as_dict(sampled).keys() == expected.keys()
    for query, found in as_dict(sampled).items():
        first = [one for one in expected[query] if one[1]]
        assert found[: len(first)] == first
        drawn = [pid for pid, _, _ in found[len(first) :]]
        assert len(set(drawn)) == LENGTH - len(first) and set(drawn) <= set(negatives[query])
        assert all(value == score(query, pid) for pid, _, value in found)


def test_counts_of_what_is_left_out(read):
    rows = [(5, 1, 7, 1, 2), (5, 2, 7, 1, 3), (5, 0, 7, 1, 99), (1, 5, 7, 2, 1), (5, 0, 49, 1, 2), (5, 0, 8, 1, 2)]
    _, top, counts = read(lines(rows), list_length=3)
    assert as_dict(top) == {7: [(1, True, 5), (2, True, 1), (3, False, 2)]}
    expected = {"rows": 6, "queries": 2, "unknown_passages": 1, "positive_and_negative": 2, "too_few_passages": 1}
    assert counts == expected | {"defects": 0}


def test_many_positives_leave_room_for_a_negative(read):
    rows = lines([(pid, 9, 7, pid, 20) for pid in (1, 3, 5, 4, 2)])
    for lists in read(rows, list_length=3)[:2]:
        assert as_dict(lists) == {7: [(5, True, 5), (4, True, 4), (20, False, 9)]}


def test_the_order_of_rows_blocks_and_parts_changes_nothing(read, monkeypatch):
    rows = lines(triples())
    before = read(rows)
    random.Random(2).shuffle(rows)
    monkeypatch.setattr(score_rows, "BLOCK", 1000)
    monkeypatch.setattr(score_rows, "PART", 3000)
    after = read([line.replace(b"\n", b"\r\n") for line in rows[:-1]] + [rows[-1].rstrip(b"\n")])
    for some, others in zip(before[:2], after[:2], strict=True):
        for left, right in zip(some, others, strict=True):
            np.testing.assert_array_equal(left, right)
    assert before[2] == after[2]


def test_a_sample_has_nothing_to_do_with_scores(read):
    rows = [(9, score(q, neg), q, 0, neg) for q in range(45) for neg in range(1, 90)]
    sampled, top, _ = read(lines(rows), list_length=31)
    drawn = sampled.scores[:, 1:].mean()
    spread = np.std([row[1] for row in rows]) / np.sqrt(45 * 30)
    assert abs(drawn - np.mean([row[1] for row in rows])) < 4 * spread < top.scores[:, 1:].mean() - drawn


def test_scores_of_a_pair_are_equal_up_to_the_tolerance(read):
    rows = lines([(5.0, 1, 7, 1, 2), (5.5, 2, 7, 1, 3), (5.3, 0, 7, 1, 4)])
    _, top, _ = read(rows, tolerance=0.6)
    assert top.scores[0].tolist() == [pytest.approx((5.0 + 5.5 + 5.3) / 3), 2, 1, 0]
    with pytest.raises(UserError, match=r"line 2: query 7 and passage 1 have the score 5\.5, but 5 in line 1"):
        read(rows, tolerance=0.4)


DEFECTS = {
    "missing pid": (b"1.5\t-2\t7\t\t12\n", "pos_passage_id is missing"),
    "missing score": (b"1.5\t\t7\t11\t12\n", "neg_score is missing"),
    "NaN": (b"nan\t-2\t7\t11\t12\n", "pos_score 'nan' is not a finite number"),
    "infinite": (b"1.5\t-1e999\t7\t11\t12\n", "neg_score '-1e999' is not a finite number"),
    "short row": (b"1.5\t-2\t7\n", "3 columns instead of 5"),
    "empty line": (b"\n", "1 columns instead of 5"),
    "wrong encoding": (b"1.5\t-2\t7\t11\t1\xe92\n", "byte 14 of the line is not UTF-8"),
    "no number": (b"1.5\t-2\t7\tD11\t12\n", "pos_passage_id 'D11' is not a whole number below 2\\^32"),
    "large id": (b"1.5\t-2\t7\t4294967296\t12\n", "pos_passage_id '4294967296' is not a whole number"),
    "leading zeros": (b"1.5\t-2\t007\t11\t12\n", "query_id '007' has leading zeros"),
    "hexadecimal": (b"1.5\t-2\t7\t11\t0x1F\n", "neg_passage_id '0x1F' is not a whole number"),
    "space": (b"1.5\t-2\t7 \t11\t12\n", "query_id '7 ' is not a whole number"),
    "space after a score": (b"1.5 \t-2\t7\t11\t12\n", "pos_score '1.5 ' is not a finite number"),
    "Arabic digit": ("\u0661\t-2\t7\t11\t12\n".encode(), "pos_score '\u0661' is not a finite number"),
    "underscore": (b"1_5\t-2\t7\t11\t12\n", "pos_score '1_5' is not a finite number"),
    "header": (
        b"pos_score\tneg_score\tquery_id\tpos_passage_id\tneg_passage_id\n",
        "pos_score 'pos_score' is not a finite",
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize("at", [1, 700, -1])
def test_a_wrong_line_is_told_by_its_number(read, monkeypatch, defect, at):
    monkeypatch.setattr(score_rows, "BLOCK", 1000)
    wrong, message = DEFECTS[defect]
    content = lines(triples())
    at = at if at > 0 else len(content) + 1
    with pytest.raises(UserError, match=rf"scores.tsv has 1 defects, .*\n  line {at}: {message}[^\n]*$"):
        read([*content[: at - 1], wrong, *content[at - 1 :]])


def test_a_repeated_row_is_told_by_its_number(read, monkeypatch):
    monkeypatch.setattr(score_rows, "PART", 3000)
    content = lines(triples())
    with pytest.raises(UserError, match=r"1 defects.*\n  line 701: the same query and passages as in line 12$"):
        read([*content[:700], content[11], *content[700:]])


def test_the_first_defects_are_listed_and_as_many_as_allowed_are_left_out(read, capsys):
    good = lines(triples())
    wrong = [line for line, _ in DEFECTS.values()]
    content = [*good[:10], *wrong, *good[10:], good[3], good[4]]
    count = len(wrong) + 2
    with pytest.raises(UserError, match=f"{count} defects") as error:
        read(content, allowed_defects=count - 1)
    named = [int(line.split()[1].rstrip(":")) for line in str(error.value).splitlines()[1:]]
    assert named == [*range(11, 11 + len(wrong)), len(content) - 1, len(content)]
    clean = read(good)
    assert "left out" not in capsys.readouterr().err
    spoiled = read(content, allowed_defects=count)
    assert f"{count} rows with defects are left out\n  line 11: pos_passage_id is missing\n" in capsys.readouterr().err
    np.testing.assert_array_equal(clean[1].passages, spoiled[1].passages)
    assert spoiled[2] == clean[2] | {"defects": count, "rows": len(good) + 2}
    with pytest.raises(UserError, match="has 30 defects") as error:
        read([b"\n"] * 30 + good)
    assert len(str(error.value).splitlines()) == 1 + score_rows.LISTED


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"none\.tsv does not exist: put the file there"):
        score_rows.partition(tmp_path / "none.tsv", tmp_path, 0)


def peak(rows):
    """Peak memory (MB) of the import of generated rows, in a process of its own."""
    command = [sys.executable, REPOSITORY / "benchmarks" / "import_scores.py", str(rows), "-", "--passages", "100000"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout)["peak_MB"]


def test_memory_does_not_grow_with_the_rows():
    few, many = 200_000, 2_000_000
    grown = peak(many) - peak(few)
    assert grown < 90  # MB: the lists; with all rows in memory at once it would be several hundred
