"""Plans out of nothing: every kind of action, hostile text, every optional part present or not."""

from __future__ import annotations

from hypothesis import strategies as st

from reconciler.core.actions import KINDS, Action, Because, Do
from reconciler.core.model import Evidence, Finding, Scalar
from reconciler.core.plan import Digest, Inputs, LimitCheck, Plan, Summary

TEXT = st.text(max_size=12) | st.sampled_from(
    ["", " ", '"', "\\", "\n", "\u2028", "\x00", "\U0001f600", "e\u0301", "null", "],", '"digest": "sha256:'],
)
IDS = st.text("0123456789abcdef", min_size=1, max_size=12)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS: st.SearchStrategy[Scalar] = st.none() | st.booleans() | NUMBERS | TEXT
FIELDS = st.dictionaries(
    st.sampled_from(["email", "external_id", "phone", "role", "custom_attributes.region"]) | TEXT, SCALARS, max_size=4
)
COUNTS = st.integers(0, 30_000)
SHA = st.text("0123456789abcdef", min_size=64, max_size=64)


def actions(do: Do) -> st.SearchStrategy[Action]:
    """Actions of one kind."""
    return st.builds(
        Action,
        id=IDS,
        do=st.just(do),
        contact=st.none() if do == "create" else IDS,
        into=IDS if do == "merge" else st.none(),
        member=st.none() | TEXT,
        expect=FIELDS,
        set=FIELDS,
        because=st.lists(st.builds(Because, rule=TEXT, finding=IDS, field=st.none() | TEXT), max_size=2).map(tuple),
        undo=st.sampled_from(["exact", "partial", "none"]),
        after=st.lists(IDS, max_size=2).map(tuple),
    )


FINDINGS = st.builds(
    Finding,
    id=IDS,
    rule=TEXT,
    severity=st.sampled_from(["fixable", "review", "info"]),
    contact=st.none() | IDS,
    member=st.none() | TEXT,
    says=TEXT,
    evidence=st.lists(st.builds(Evidence, origin=TEXT, field=TEXT, value=SCALARS), max_size=2).map(tuple),
)

DIGESTS = st.builds(
    Digest,
    sha256=SHA,
    source=st.none() | TEXT,
    count=st.none() | COUNTS,
    read_at=st.none() | TEXT,
    blank=st.none() | st.dictionaries(st.sampled_from(["email", "phone"]) | TEXT, COUNTS, max_size=3),
    changed_at=st.none() | TEXT,
)

LIMITS = st.builds(
    LimitCheck,
    limit=st.sampled_from(KINDS),
    allowed=COUNTS,
    planned=COUNTS,
    ok=st.booleans(),
    says=TEXT,
    accepted=st.none() | COUNTS,
    reason=st.none() | TEXT,
)

PLANS: st.SearchStrategy[Plan] = st.builds(
    Plan,
    id=TEXT,
    tool=TEXT,
    target=st.sampled_from(["contacts", "positions"]),
    workspace=TEXT,
    intercom_version=TEXT,
    created_at=TEXT,
    expires_at=TEXT,
    applyable=st.booleans(),
    refused_because=st.lists(TEXT, max_size=2).map(tuple),
    inputs=st.builds(Inputs, rules=DIGESTS, members=DIGESTS, positions=DIGESTS, contacts=DIGESTS),
    summary=st.builds(Summary, **dict.fromkeys(Summary.__struct_fields__, COUNTS)),
    limits=st.lists(LIMITS, max_size=3).map(tuple),
    # One of every kind, so that no kind can be written and not read; and as many more as come.
    actions=st.tuples(*map(actions, KINDS)),
    findings=st.lists(FINDINGS, max_size=3).map(tuple),
    previous=st.none() | SHA.map("sha256:{}".format),
)
"""Plans that make no sense and must survive being written and read all the same."""
