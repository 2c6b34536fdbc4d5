"""Plans made by hand for the tests of reports and runs: dull defaults, the point in the overrides."""

from __future__ import annotations

from typing import Any

from reconciler.core.actions import KINDS, Action, Because
from reconciler.core.model import Evidence, Finding
from reconciler.core.plan import Census, Digest, Inputs, LimitCheck, Plan, Summary

HOSTILE = (
    "<script>alert(1)</script>",
    "Ann\u202eeeL",
    "Zero\u200bWidth",
    "Two\nLines\r\tTab",
    "\x1b[31mRed\x1b[0m",
    "`code` **bold** [link](https://evil.example) @team #1",
    "'\"><img src=x onerror=alert(1)>",
    "back\\slash",
    "名前" * 60,
    "e" + "\u0301" * 40,
    "a → b",
    " spaces ",
    "",
    "{{ 7 * 7 }}{% raw %}",
    "| a | b |",
    "é\u00a0non-breaking",
    "\U000e0041tag \u3164filler \ue000private",
)
"""Names that try to break out of a report, each in its own way."""


def make_action(number: int = 1, do: str = "update", **overrides: Any) -> Action:
    """One action of any kind, with an undo class and values that fit it."""
    contact = None if do == "create" else f"5ba682d23d7cf92bef87bf{number:02x}"
    defaults: dict[str, Any] = {
        "id": f"{do[0]}-{number:06x}",
        "do": do,
        "contact": contact,
        "into": "5ba682d23d7cf92bef87bfff" if do == "merge" else None,
        "member": str(10000 + number),
        **_VALUES[do],
    }
    return Action(**(defaults | overrides))


_VALUES: dict[str, dict[str, Any]] = {
    "create": {
        "set": {"role": "user", "external_id": "10001", "name": "Ann Lee", "email": "ann@union.example"},
        "because": (Because(rule="create-missing", finding="f-create"),),
        "undo": "partial",
    },
    "update": {
        "expect": {"phone": "(765) 465-7031", "custom_attributes.region": None},
        "set": {"phone": "+17654657031", "custom_attributes.region": "Eastern"},
        "because": (
            Because(rule="fix-phone", finding="f-phone", field="phone"),
            Because(rule="update-attributes", finding="f-region", field="custom_attributes.region"),
        ),
    },
    "promote": {
        "expect": {"role": "lead", "external_id": None},
        "set": {"role": "user", "external_id": "10003"},
        "because": (Because(rule="promote-lead", finding="f-lead"),),
        "undo": "none",
    },
    "merge": {
        "expect": {"name": "Ann Lee", "email": "ann@union.example"},
        "because": (Because(rule="archive-duplicates", finding="f-twice"),),
        "undo": "none",
    },
    "archive": {
        "expect": {"name": "Ann Lee", "email": "ann@union.example", "external_id": None},
        "set": {"email": None},
        "because": (Because(rule="archive-duplicates", finding="f-twice"),),
    },
    "unarchive": {"expect": {"name": "Ann Lee"}, "because": (Because(rule="undo", finding="f-undo"),)},
    "delete": {"expect": {"positioncode": "pres"}, "because": (Because(rule="stale-position", finding="f-stale"),)},
}


def make_finding(number: int = 1, **overrides: Any) -> Finding:
    """A finding that a person has to decide."""
    defaults: dict[str, Any] = {
        "id": f"f-{number:04x}",
        "rule": "shared-email",
        "severity": "review",
        "member": str(20000 + number),
        "says": "Two members have the same e-mail address; the contact is left alone.",
        "evidence": (
            Evidence(origin="supabase members/20001", field="email", value="pair@union.example"),
            Evidence(origin="supabase members/20002", field="email", value="pair@union.example"),
        ),
    }
    return Finding(**(defaults | overrides))


def make_plan(*actions: Action, **overrides: Any) -> Plan:
    """A sound plan of these actions."""
    counts = {kind: sum(action.do == kind for action in actions) for kind in KINDS}
    findings = overrides.get("findings", ())
    defaults: dict[str, Any] = {
        "id": "20261123T023000Z-8f3a1c5e",
        "tool": "reconciler 0.1.0",
        "target": "contacts",
        "workspace": "abc123",
        "intercom_version": "2.16",
        "created_at": "2026-11-23T02:30:00Z",
        "expires_at": "2026-11-24T02:30:00Z",
        "applyable": True,
        "refused_because": (),
        "inputs": Inputs(
            rules=Digest(sha256="a" * 64),
            members=Digest(sha256="b" * 64, source="supabase", count=20123),
            positions=Digest(sha256="c" * 64, source="supabase", count=812),
            contacts=Digest(sha256="d" * 64, count=21362, read_at="2026-11-23T02:29:10Z"),
        ),
        "summary": Summary(**counts, held=0, report=len(findings), unchanged=20072),
        "limits": (LimitCheck(limit="archive", allowed=200, planned=counts["archive"], ok=True),),
        "actions": actions,
        "findings": (),
        "previous": "sha256:" + "e" * 64,
        "census": Census(
            users=21_012,
            leads=350,
            members={"Active": 18_012, "Retired": 2_111},
            wanted=20_101,
            without=counts["create"],
            theirs=20_140,
            others=31,
            disputed=4,
            strangers=1187,
        ),
    }
    return Plan(**(defaults | overrides))


def every_kind() -> Plan:
    """A plan with an action of every kind, and findings of two rules that no action mends."""
    actions = [make_action(number, do) for number, do in enumerate(KINDS, start=1)]
    orphan = make_finding(
        2,
        rule="orphan-contact",
        severity="info",
        member=None,
        contact="5ba682d23d7cf92bef87bfee",
        says="Nobody active or retired holds its member number.",
        evidence=(Evidence(origin="intercom contacts/5ba682d23d7cf92bef87bfee", field="external_id", value="99999"),),
    )
    return make_plan(*actions, findings=(make_finding(1), orphan))


def hostile() -> Plan:
    """A plan in which every text that comes from outside is hostile."""
    actions = [
        make_action(
            number,
            member=name or "blank",
            expect={"name": name, "custom_attributes.facility": None},
            set={"name": name[::-1], "custom_attributes.facility": name},
            because=(Because(rule="update-attributes", finding="f-h"),),
        )
        for number, name in enumerate(HOSTILE, start=1)
    ]
    taken = [make_action(90 + number, "archive", expect={"name": name}, set={}) for number, name in enumerate(HOSTILE)]
    findings = tuple(
        make_finding(
            number,
            says=f"The name is {name}",
            evidence=(Evidence(origin=f"supabase members/{name}", field=name or "name", value=name),),
        )
        for number, name in enumerate(HOSTILE, start=1)
    )
    return make_plan(*actions, *taken, findings=findings, workspace=HOSTILE[0], tool=HOSTILE[6])


def over_the_limit() -> Plan:
    """A plan whose archives are held, with a survivor waiting for one of them, and a limit a person accepted."""
    archives = [make_action(number, "archive") for number in (1, 2)]
    waiting = make_action(3, member="10001", after=(archives[0].id,))
    return make_plan(
        *archives,
        waiting,
        make_action(4),
        limits=(
            LimitCheck(
                limit="archive",
                allowed=1,
                planned=2,
                ok=False,
                says="2 of 21362 contacts (0.01%), allowed 1: see `archive` in rules/limits.yaml.",
            ),
            LimitCheck(
                limit="update", allowed=1, planned=2, ok=True, accepted=2, reason="annual renumbering, ticket 4711"
            ),
        ),
    )


def refused() -> Plan:
    """A plan that a source guard refused before anything was decided."""
    return make_plan(
        applyable=False,
        refused_because=("supabase returned 0 members: a source is never empty.",),
        limits=(LimitCheck(limit="source_empty", allowed=1, planned=0, ok=False, says="0 members"),),
    )
