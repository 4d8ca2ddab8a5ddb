"""Whether a file with bad rows is taken: the policy of a connection.

What lives here: the decision on counts alone.
"""

from models.codes import Code
from models.faults import Fault


def check_policy(policy: str) -> None:
    """Raise ValueError unless the policy is one we know."""
    allowed_percent(policy)


def allowed_percent(policy: str) -> float:
    """Give how many of a hundred rows may be bad."""
    if policy == "accept_valid":
        return 100.0
    if policy == "all_or_nothing":
        return 0.0
    name, _, number = policy.partition("=")
    if name.strip() == "max_bad_percent":
        try:
            percent = float(number)
        except ValueError:
            percent = -1.0
        if 0 <= percent <= 100:
            return percent
    raise ValueError(f"The policy must be accept_valid, all_or_nothing or max_bad_percent=N, not {policy!r}.")


def refusal(policy: str, total: int, bad: int, cut_off: bool) -> Fault | None:
    """Give the fault that rejects the file, None where it is taken; ``cut_off``: its last record is unfinished."""
    allowed = allowed_percent(policy)
    if cut_off and policy == "all_or_nothing":
        message = (
            "The last row is unfinished: the file was probably cut off. Nothing was imported; send it again whole."
        )
        return Fault(code=Code.UNEXPECTED_END, message=message)
    if bad * 100 <= allowed * total:
        return None
    limit = "no bad row" if allowed == 0 else f"at most {allowed:g} % bad rows"
    message = (
        f"{bad} of {total} rows have errors, and {limit} is allowed. Nothing was imported; mend the rows and send all."
    )
    return Fault(code=Code.TOO_MANY_BAD_ROWS, message=message)
