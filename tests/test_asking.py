"""Small promises: one id is a list of one, messages name the id that is wrong, sentences say no more than is so."""

import numpy as np
import pandas as pd
import pytest

from fmkit.errors import InputError
from fmkit.recommend import Recommender
from fmkit.recommend.reasons import Reason, in_words
from fmkit.recommend.vocabulary import Vocabulary, as_texts


@pytest.fixture(scope="module")
def fitted():
    ratings = {
        "user": ["ann", "ann", "bob", "bob", "cat", "cat"],
        "item": [1, 2, 2, 3, 1, 4],
        "rating": [5, 1, 1, 4, 5, 3],
    }
    return Recommender(quality="fast", max_iter=10).fit(ratings)


def test_text_is_one_id_and_not_its_letters():
    assert as_texts("ann").to_pylist() == ["ann"]
    assert as_texts(73).to_pylist() == ["73"]
    assert Vocabulary(as_texts(["a", "n", "ann"])).encode("ann").tolist() == [2]


def test_one_id_alone_is_asked_for_as_a_list_of_one(fitted):
    assert fitted.recommend("ann").equals(fitted.recommend(["ann"]))
    assert fitted.recommend("ann", candidates=4)["item"].to_pylist() == [4]
    assert fitted.recommend("ann", n=1, pinned=4)["item"].to_pylist() == [4]
    assert fitted.recommend_for(likes=1).equals(fitted.recommend_for(likes=[1]))
    assert fitted.predict("ann", 3) == fitted.predict(["ann"], [3])


def test_the_id_that_is_wrong_is_named_whatever_holds_it(fitted):
    wrong = pd.Series([1, 99], index=[7, 8])
    with pytest.raises(InputError, match="candidates holds '99', which is none of the 4 items"):
        fitted.recommend("ann", candidates=wrong)
    with pytest.raises(InputError, match="item 99 is unknown to the model"):
        fitted.reasons("ann", wrong)


def test_what_was_done_is_told_in_numbers(fitted):
    later = Recommender(quality="fast", max_iter=5).fit({"user": [1, 1, 2], "item": [1, 2, 2], "rating": [5, 1, 3]})
    later.partial_fit({"user": [3], "item": [1], "rating": [4]}).forget([1, 3])
    assert later.told_[-2:] == ["1 row more, with 1 new user and 0 new items", "forgotten: 2 users with 3 rows"]


def test_only_is_said_of_ratings_that_are_low_for_everyone():
    def gave(ratings):
        rated = np.arange(len(ratings), dtype=np.int32)
        reason = Reason(3.5, 0.0, 0.0, rated, np.array(ratings, np.float32), np.ones(len(ratings)))
        return in_words(reason, lambda code: "abc"[code], 1)

    assert gave([5, 4.5]) == "you gave 5 to a, 4.5 to b"
    assert gave([5, 2]) == "you gave 5 to a, only 2 to b"
    assert gave([1, 1.5]) == "you gave only 1 to a, 1.5 to b"
