"""The detector on real series, where they are at hand."""

import pytest

from benchmarks import nab
from benchmarks.nab_scoring import STANDARD, File, score_corpus


@pytest.mark.night
@pytest.mark.slow
def test_the_real_series_score_what_the_table_says():
    try:
        root = nab.folder()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    corpus = nab.load(root)
    scores = nab.score_series(corpus)
    files = [File(score, one.windows) for score, one in zip(scores, corpus, strict=True)]
    assert (len(files), sum(len(one.windows) for one in files)) == (40, 86)
    assert score_corpus(files, STANDARD).score == pytest.approx(75.2, abs=0.3)
