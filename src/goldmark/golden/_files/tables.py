"""Series and frames of pandas, as the dicts and arrays that a golden holds."""

from __future__ import annotations

import sys
from typing import Any

from goldmark.case import UsageError


def is_table(value: Any) -> bool:
    """Tell a Series or a DataFrame, without loading pandas."""
    pandas = sys.modules.get("pandas")
    kinds = tuple(getattr(pandas, name) for name in ("Series", "DataFrame") if hasattr(pandas, name))
    return isinstance(value, kinds)


def labelled(table: Any, key: str) -> Any:
    """Return a DataFrame as its columns by name, and a Series as its values by label.

    Rows that are merely numbered from 0 have no labels: a column is then an array or a list. Raise `UsageError` for
    labels that come twice, or that are neither text nor integers.
    """
    if table.ndim == 2:
        _need_labels(table.columns, key, "columns", "rename them")
        return {name: table[name] for name in table.columns}
    if table.index.equals(sys.modules["pandas"].RangeIndex(len(table))):
        return table.to_numpy() if getattr(table.dtype, "kind", "") in "biufc" and _is_numpy(table) else table.tolist()
    _need_labels(table.index, key, "index", "pass .reset_index(), or .set_axis(x.index.astype(str))")
    return dict(zip(table.index.tolist(), table.tolist(), strict=True))


def _is_numpy(series: Any) -> bool:
    """Tell a column of numpy's own dtypes from one that knows missing values (`Int64`)."""
    return isinstance(series.dtype, sys.modules["numpy"].dtype)


def _need_labels(index: Any, key: str, what: str, way_out: str) -> None:
    labels = index.tolist()
    odd = [label for label in labels if not isinstance(label, str | int) or isinstance(label, bool)]
    if odd:
        raise UsageError(f"'{key}' has the {what} label {odd[0]!r}; labels are text or integers: {way_out}")
    if not index.is_unique:
        twice = next(label for label in labels if labels.count(label) > 1)
        raise UsageError(f"'{key}' has the {what} label {twice!r} more than once; labels are unique: {way_out}")
