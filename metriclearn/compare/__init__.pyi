"""The public names: type checkers read them here, and the package loads them from here."""

from metriclearn.compare._compare import compare as compare
from metriclearn.compare._names import LEARNER_NAMES as LEARNER_NAMES
from metriclearn.compare._names import SOURCE_NAMES as SOURCE_NAMES
from metriclearn.compare._ranking import RankedComparison as RankedComparison
from metriclearn.compare._result import ComparisonResult as ComparisonResult
from metriclearn.compare._schema import result_schema as result_schema
from metriclearn.compare._sources._unlabeled import NewRows as NewRows
from metriclearn.compare._sources._unlabeled import read_rows as read_rows
