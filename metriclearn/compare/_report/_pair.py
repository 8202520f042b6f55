"""The two metrics that are looked at side by side."""

#: Questions whose two sides are worth a closer look, the first that has an answer.
CONTRASTS = ("deep", "fine_tuning", "frozen", "learning")


def two_metrics(result, protocol):
    """Return the keys of the best linear and the best deep metric, or of the like of them.

    Parameters
    ----------
    result : ComparisonResult
    protocol : {"closed", "open"}

    Returns
    -------
    tuple of str
        The simpler one first; fewer than two where there are no two.
    """
    keys = {learner.name: learner.key for learner in result.learners}
    answers = {answer.question: answer for answer in result.answers(protocol)}
    for question in CONTRASTS:
        if question in answers:
            return keys[answers[question].against], keys[answers[question].learner]
    done = {record.learner for record in records_of(result, protocol)}
    return tuple(row.key for row in result.rows() if row.key in done)[:2]


def records_of(result, protocol, key=None):
    """Return the finished records of a protocol, of one learner or of all."""
    return [
        record
        for record in result.records
        if record.protocol == protocol and not record.error and key in (None, record.learner)
    ]
