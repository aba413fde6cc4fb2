"""Table 3: pairs that cross-attention scores low and the dual-encoder high, with their text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dualenc.analysis import disagreement, pairs
from dualenc.evaluation.statistics import difference_interval
from dualenc.tables import texts
from dualenc.tables.writing import Cell, Table

SHOWS = {
    "experiments": ["ca", "de"],
    "needs": ["runs", "text"],
    "options": {"pairs": 4, "compared": 100, "characters": 240},
}
REQUIRES = {
    "models": ["cross-attention", "dual-encoder"],
    "options": {"pairs": "count", "compared": "count", "characters": "characters"},
}
CAPTION = (
    "Where does the dual-encoder (DE) go wrong? In the paper, the pairs that DE scores high and cross-attention (CA) "
    "low are mostly not relevant, but share many words with the query: DE follows the topic and misses the "
    "distinction. Look for passages that share the query's words without answering it, and for a token overlap above "
    "that of the query's other candidates. The paper shows four pairs of MS MARCO, without their scores."
)
EVALSET = "test"
PASSAGE = ("passage", "text")


def table(params: Mapping[str, Any], root: Path) -> Table:
    """The test pairs that the dual-encoder of ``params`` scores furthest above cross-attention, one per query.

    The options are ``pairs``, how many are shown, ``compared``, for how many the token overlap is compared with that
    of the query's other candidates, and ``characters``, of a text. Raises `UserError` if a run or a text is missing.
    """
    runs = sorted(params["runs"], key=lambda run: run["model"] != "cross-attention")
    ca, de = (pairs.of_run(root, run["name"], params["seeds"][0], EVALSET) for run in runs)
    options, folder = params["options"], root / "data" / params["dataset"]
    disagreed = disagreement.pairs(de, ca)
    worst = disagreed.drop_duplicates("qid").head(options["compared"])
    candidates = disagreed[disagreed.qid.isin(worst.qid)]
    asked = texts.queries(folder, EVALSET, worst.qid)
    found = texts.passages(folder, candidates.pid)
    words = [
        disagreement.token_overlap(asked[qid], found[pid])
        for qid, pid in zip(candidates.qid, candidates.pid, strict=True)
    ]
    candidates = candidates.assign(token_overlap=words)
    worst = candidates.loc[worst.index]
    shown = worst.head(options["pairs"])
    shown = shown.rename(columns=lambda name: name.replace("_first", "_de").replace("_second", "_ca"))
    shown = shown.assign(query=shown.qid.map(asked), passage=shown.pid.map(found))
    size = de.groupby("qid").size()
    return Table(
        shown, _display(shown, size, options["characters"]), _notes(worst, candidates, shown, params), texts=(PASSAGE,)
    )


def _display(shown: pd.DataFrame, candidates: pd.Series, characters: int) -> pd.DataFrame:
    """The pairs for readers."""
    rows = {}
    for place, pair in enumerate(shown.itertuples(), 1):
        of = f"of {candidates[pair.qid]}"
        rows[place] = {
            PASSAGE: Cell(texts.shortened(pair.passage, characters)),
            ("passage", "relevant"): Cell("yes" if pair.relevant else "no"),
            ("rank", "CA"): Cell(f"{pair.rank_ca}", f" {of}"),
            ("rank", "DE"): Cell(f"{pair.rank_de}", f" {of}"),
            ("score", "CA"): Cell(f"{pair.score_ca:+.2f}"),
            ("score", "DE"): Cell(f"{pair.score_de:+.2f}"),
            ("token", "overlap"): Cell(f"{pair.token_overlap:.2f}"),
        }
    queries = [texts.shortened(query, characters) for query in shown["query"]]
    index = pd.MultiIndex.from_tuples([("DE high, CA low", query) for query in queries], names=["group", "label"])
    return pd.DataFrame(list(rows.values()), index=index)


def _notes(worst: pd.DataFrame, candidates: pd.DataFrame, shown: pd.DataFrame, params: Mapping[str, Any]) -> list[str]:
    """What was rebuilt, what the columns mean, and whether overlap goes with disagreement."""
    evaluation = {key: params["evaluation"][key] for key in ("confidence", "resamples", "seed")}
    overlap = worst.set_index("qid").token_overlap
    others = candidates.drop(worst.index).groupby("qid").token_overlap.mean().reindex(overlap.index).dropna()
    overlap = overlap[others.index]
    low, high = difference_interval(overlap, others, **evaluation)
    names = ", ".join(f"{run['name']} ({run['encoder']})" for run in params["runs"])
    return [
        f"Rebuilt: scale {params['scale']}, dataset {params['dataset']}, {EVALSET} queries, seed {params['seeds'][0]}; "
        f"{names}. The {len(shown)} pairs of different queries with the largest differences between the two scores.",
        "Scores are relative to the query's mean and in units of the model's largest score range of one query. Token "
        "overlap is the fraction of the query's distinct words that are also in the passage.",
        f"Of the {len(worst)} queries with the largest differences, {worst.relevant.sum()} have a relevant passage in "
        f"that pair. Its token overlap is {overlap.mean():.3f}, that of the query's other candidates "
        f"{others.mean():.3f}: a difference of {overlap.mean() - others.mean():+.3f} [{low:+.3f}, {high:+.3f}] "
        f"({100 * evaluation['confidence']:g} % bootstrap interval over queries).",
    ]
