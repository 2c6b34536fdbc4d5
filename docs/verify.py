"""Verify a copy of the plans without the program that wrote them: Python 3.11 and its standard library are enough.

    python verify.py FOLDER [--head sha256:...] [--json]

FOLDER is what RECONCILER_PLANS names, or a copy of it with everything below it (an S3 prefix: copy it first). Says the
same as `reconcile verify`, and leaves with 0 where everything is as it was written, 1 where it is not, 64 for wrong
usage. How the files are made is written in docs/reference/files.md and docs/architecture.md.
"""

import argparse
import hmac
import json
import re
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

Found = dict[Any, Any]

RECORD = re.compile(r"([0-9]{8}T[0-9]{6}Z-[0-9a-z]+)(\.outcome|\.approval-[0-9a-f]{8})?\.json")
LINK_NAME = re.compile(r"([0-9]{8})\.json")
DIGEST = "sha256:[0-9a-f]{64}"
LINK = re.compile(
    rf'{{"format": "reconciler\.link/1", "number": (?P<number>[1-9][0-9]*), "record": "(?P<record>[^"\\]*)", '
    rf'"record_digest": "(?P<record_digest>{DIGEST})", "commitment": "(?P<commitment>{DIGEST})", '
    rf'"follows": (?P<follows>true|false),\n "previous": (?:null|"(?P<previous>{DIGEST})"), "digest": "{DIGEST}"}}\n'
)
END = re.compile(rf' "previous": (?:null|"({DIGEST})"), "digest": "({DIGEST})"}}\n?')
SEAL = re.compile(rb'"(sha256:[0-9a-f]{64})"}\n\Z')


def digest_of(data: bytes) -> str | None:
    """The digest that a sealed file ends with, where it is that of every byte before it; else None."""
    end = SEAL.search(data)
    if end is None or end[1].decode() != "sha256:" + sha256(data[: end.start()]).hexdigest():
        return None
    return end[1].decode()


def read_link(path: Path) -> Found | None:
    """A link as a dictionary, with its own digest; None where it is not as it was written."""
    data = path.read_bytes()
    try:
        found = LINK.fullmatch(data.decode())
    except UnicodeDecodeError:
        return None
    digest = digest_of(data)
    if found is None or digest is None:
        return None
    return {
        **found.groupdict(),
        "number": int(found["number"]),
        "follows": found["follows"] == "true",
        "digest": digest,
    }


def plain(data: bytes) -> Found:
    """What a record says of itself: its digest, and that of the record before it."""
    digest = digest_of(data)
    if digest is None:
        return {"there": True, "erased": False, "digest": None, "previous": None}
    end = END.fullmatch(data[data.rindex(b' "previous": ') :].decode())
    return {"there": True, "erased": False, "digest": digest, "previous": end[1] if end else None}


def to_json(value: Any) -> str:
    """JSON as the commitments have it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def without_values(folder: Path, link: Found, data: bytes) -> Found:
    """A record that personal values were taken out of: what is left must give the commitment of its link."""
    broken = {"there": True, "erased": True, "digest": None, "previous": None}
    try:
        document = json.loads(data)
        path = folder / "keys" / (link["record_digest"].removeprefix("sha256:") + ".json")
        keys = iter(json.loads(path.read_bytes())["keys"] if path.exists() else [])
        lines, text = document["lines"], []
        for line in lines:
            if isinstance(line, str):
                text.append(line)
                continue
            key, hidden = next(keys, None) or "", line["personal"]
            if not isinstance(hidden, str):
                hidden = hmac.new(bytes.fromhex(key), to_json(hidden).encode(), sha256).hexdigest()
            text.append(to_json({**line["public"], "personal": hidden}))
        end = END.fullmatch("".join(line for line in lines[-2:] if isinstance(line, str)))
        commitment = "sha256:" + sha256("\n".join(text).encode()).hexdigest()
        if (
            end is None
            or commitment != link["commitment"]
            or document["record"] != link["record"]
            or document["record_digest"] != end[2]
            or data != erased_file(document)
        ):
            return broken
    except (ValueError, KeyError, TypeError, AttributeError):
        return broken
    return {"there": True, "erased": True, "digest": end[2], "previous": end[1]}


def erased_file(document: Found) -> bytes:
    """The bytes of a record that values were taken out of: nothing may stand in it that is not accounted for."""
    head = f'{{"format": "reconciler.erased/1", "record": {to_json(document["record"])}, '
    head += f'"record_digest": "{document["record_digest"]}",\n "lines": [\n'
    lines = [
        line if isinstance(line, str) else {"public": line["public"], "personal": line["personal"]}
        for line in document["lines"]
    ]
    return (head + ",\n".join(map(to_json, lines)) + "\n ]}\n").encode()


def look(folder: Path, link: Found) -> Found:
    """What stands under the name of a record."""
    path = folder / link["record"]
    if not path.is_file():
        path = folder / "chain" / (link["record_digest"].removeprefix("sha256:") + ".part")
    if not path.is_file():
        return {"there": False, "erased": False, "digest": None, "previous": None}
    data = path.read_bytes()
    return without_values(folder, link, data) if data.startswith(b'{"format": "reconciler.erased/1"') else plain(data)


def flaw_of(number: int, links: Found, found: Found, holders: Found) -> tuple[str, str, str] | None:
    """What is wrong at one place of the chain: (name, kind, text); None for nothing."""
    path = f"chain/{number:08}.json"
    link, before = links.get(number), links.get(number - 1)
    if link is None and number in links:
        return path, "edited", "the link was changed or cut after it was written"
    if link is None:
        return path, "dropped", "the link is gone, and with it the proof of the record that it named"
    record = found[number]
    if link["number"] != number:
        return path, "reordered", f"it is link {link['number']} of the chain"
    if before is not None and link["previous"] != before["digest"]:
        return path, "forked", f"it follows another link than the one that stands at {number - 1}"
    if not record["there"]:
        return link["record"], "dropped", "the record is gone"
    if record["digest"] is None:
        return link["record"], "edited", "it was changed or cut after it was written"
    if record["digest"] != link["record_digest"] and record["digest"] in holders:
        return link["record"], "reordered", f"it holds the record of {holders[record['digest']]}"
    if record["digest"] != link["record_digest"]:
        return link["record"], "edited", "it was changed, and sealed anew, after it was written"
    expected = None if before is None else before["record_digest"]
    if link["follows"] and (number == 1 or before is not None) and record["previous"] != expected:
        return link["record"], "forked", f"it follows another record than {path} says"
    return None


def verify(folder: Path, head: str | None) -> Found:
    """Walk the chain; the report as a dictionary, in the form of `reconcile verify --json`."""
    names = {path.name for path in folder.iterdir() if path.is_file() and RECORD.fullmatch(path.name)}
    chain = folder / "chain"
    paths = [path for path in chain.iterdir() if LINK_NAME.fullmatch(path.name)] if chain.is_dir() else []
    links = {int(path.stem): read_link(path) for path in sorted(paths)}
    sound = {number: link for number, link in links.items() if link is not None}
    found = {number: look(folder, link) for number, link in sound.items()}
    holders = {link["record_digest"]: link["record"] for link in sound.values()}
    flaws = [flaw_of(number, links, found, holders) for number in range(1, max(links, default=0) + 1)]
    for name in sorted(names - {link["record"] for link in sound.values()}):
        previous = plain((folder / name).read_bytes())["previous"]
        if not links:
            text = "no chain stands here: it is from before there was one, or the links are gone"
            flaws.append((name, "added", text))
        elif previous in holders:
            flaws.append((name, "forked", f"it follows {holders[previous]}, and is not in the chain"))
        else:
            flaws.append((name, "added", "it is not in the chain"))
    if head is not None and head not in {link["digest"] for link in sound.values()}:
        flaws.append(("chain", "cut", f"the head {head} is not in the chain: its end is gone, or it was made anew"))
    newest = links[max(links)] if links else None
    return {
        "records": len(links),
        "erased": sum(record["erased"] for record in found.values()),
        "head": newest["digest"] if newest else None,
        "flaws": [dict(zip(("record", "kind", "says"), flaw, strict=True)) for flaw in flaws if flaw is not None],
    }


class Parser(argparse.ArgumentParser):
    """Wrong usage leaves with 64, as `reconcile` does."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong."""
        self.exit(64, f"{self.format_usage()}{message}\n")


def main() -> int:
    """The command."""
    parser = Parser(description="Verify a copy of the plans.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--head", help="a head that was noted earlier")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is not a folder")
    report = verify(options.folder, options.head)
    if options.json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        for flaw in report["flaws"]:
            print(f"{flaw['record']}, {flaw['kind']}: {flaw['says']}")
        print(f"{report['records']} records, {report['erased']} without personal data, {len(report['flaws'])} flaws")
        print(f"Head: {report['head']}")
    return 1 if report["flaws"] else 0


if __name__ == "__main__":
    sys.exit(main())
