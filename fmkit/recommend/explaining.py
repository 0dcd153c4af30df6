"""A recommender asked why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from fmkit.errors import InputError
from fmkit.recommend.entities import Entities
from fmkit.recommend.explanations import Parts, ranking_parts, rating_parts
from fmkit.recommend.fitted import Fitted
from fmkit.recommend.model import Codes
from fmkit.recommend.ranking_model import RankingModel
from fmkit.recommend.rating_model import RatingModel, Ratings
from fmkit.recommend.reasons import Reason, in_words, reasons
from fmkit.recommend.vocabulary import as_texts

SHORT = 40  # letters of a title inside a reason


class Explaining(Fitted):
    """Scores as sums, and what past interactions add to them."""

    def explain(self, users: Any, items: Any, *, context: Any = None, risk: float = 0.0) -> pa.Table:
        """Scores of pairs as sums of parts.

        Of ratings: the mean, what user, item and context have by themselves, and each pair of what is known of the
        user, the item and the context, such as "id × genres=Comedy". Of clicks: what the item has by itself, what each
        item that the user has adds, the user's features, and the user.

        Parameters
        ----------
        users, items : id, or array-like of ids of the same length
            Of the fit.
        context : mapping of column to value, or table of a row a pair, optional
        risk : float, default=0.0
            Standard deviations that the score is less than the rating expected.

        Returns
        -------
        pyarrow.Table
            Columns user, item, part, value; the values of a pair add up to its score.
        """
        check_is_fitted(self, "model_")
        user, item = known_codes(self.users_, users, "user"), known_codes(self.items_, items, "item")
        if len(user) != len(item) and 1 not in (len(user), len(item)):
            raise InputError(f"users and items must be of one length, got {len(user):,} and {len(item):,}")
        user, item = np.broadcast_arrays(user, item)
        told = self._context(context, len(user))
        tables = []
        for row in range(len(user)):
            of = slice(row, row + 1)
            parts = self._parts(user[of], item[of], None if told is None else told[of], risk)
            n = len(parts)
            ids = self.users_.ids.decode(np.repeat(user[of], n)), self.items_.ids.decode(np.repeat(item[of], n))
            part, value = [name for name, _ in parts], [float(values[0]) for _, values in parts]
            tables.append(pa.table({"user": ids[0], "item": ids[1], "part": part, "value": value}))
        return pa.concat_tables(tables)

    def reasons(self, user: Any, items: Any) -> list[Reason]:
        """What each past rating of a user adds to the scores of items, in the usual context; for ratings.

        Parameters
        ----------
        user : id
            Somebody unknown has no ratings.
        items : array-like of ids
        """
        check_is_fitted(self, "model_")
        if not isinstance(self.model_, RatingModel):
            raise InputError("reasons by past ratings are for ratings: explain tells what past clicks add")
        code = self.users_.ids.encode([user])
        of = self.history_.of(int(code[0]))
        return reasons(self.model_, self.model_.find(code), of, known_codes(self.items_, items, "item"))

    def _parts(self, user: Codes, item: Codes, told: Any, risk: float) -> Parts:
        """Of one user and some items."""
        people = self.model_.find(user)
        asked = self.model_.asked(people, told)
        if isinstance(self.model_, RankingModel):
            names = [str(one) for one in self.items_.ids.ids.to_pylist()] + self.users_.feature_names
            return ranking_parts(self.model_, asked, int(user[0]), item, names)
        assert isinstance(self.model_, RatingModel)
        parts = rating_parts(self.model_, people, asked, item, self.users_, self.items_)
        if risk:
            parts.append(("risk", -risk * self.model_.deviations(asked, item).astype(np.float64)))
        return parts

    def _reasons_in_words(self, people: Any, codes: Codes, own: list[Ratings], row: Codes, item: Codes) -> pa.Array:
        """A sentence for each row of lists.

        Parameters
        ----------
        people : of the model
        codes : ndarray of shape (n_people,)
            -1 for people whom the fit never saw.
        own : list of Ratings
            What each has.
        row, item : ndarrays of shape (n_rows,)
            Number of the person, ascending, and code of the item.
        """
        titles, model = self.items_.titles, self.model_

        def name_of(code: int) -> str:
            title = None if titles is None else titles[code].as_py()
            name = str(self.items_.ids.ids[code]) if title is None else str(title)
            return name if len(name) <= SHORT else name[: SHORT - 1].rstrip() + "…"

        names: list[str] = []
        if isinstance(model, RankingModel):
            names = [name_of(code) for code in range(len(self.items_))] + self.users_.feature_names
        words: list[str] = []
        for person, history in enumerate(own):
            items, one = item[row == person], people.select(np.array([person]))
            counts = self.history_.item_counts[items].tolist()
            if isinstance(model, RatingModel):
                told = zip(reasons(model, one, history, items), counts, strict=True)
                words += [in_words(reason, name_of, n_raters) for reason, n_raters in told]
            elif isinstance(model, RankingModel):
                parts = ranking_parts(model, one, int(codes[person]), items, names)
                words += strongest_in_words(parts, counts)
        return pa.array(words, pa.string())


def strongest_in_words(parts: Parts, counts: list[int]) -> list[str]:
    """The two parts that add most to the score of each item, of which so many interactions are known."""
    values = np.array([values for _, values in parts])
    sentences = []
    for column, n_having in enumerate(counts):
        order = np.argsort(-values[:, column], kind="stable")
        told = [parts[j][0] for j in order if values[j, column] > 0 and parts[j][0] not in ("item", "user")][:2]
        has = [name.removeprefix("has ") for name in told]
        otherwise = "many have it" if n_having else "by what is known of it, for nobody has it"
        sentences.append(f"you have {', '.join(has)}" if has else otherwise)
    return sentences


def known_codes(entities: Entities, ids: Any, role: str) -> NDArray[np.int32]:
    """Codes of ids; an InputError that names the first unknown one."""
    codes = entities.ids.encode(ids)
    if (codes < 0).any():
        raise InputError(f"{role} {as_texts(ids)[int(np.argmin(codes))]} is unknown to the model")
    return codes
