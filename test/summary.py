"""The closing lines of a test run, out of ctest's JUnit file: why tests were skipped, what failed, and the three numbers."""

import sys
import xml.etree.ElementTree as xml


def main(path):
    passed, failed, skipped = [], [], []
    for case in xml.parse(path).getroot().iter("testcase"):
        if case.get("status") == "run":
            passed.append(case)
        elif case.get("status") in ("notrun", "disabled"):
            skipped.append(case)
        else:
            failed.append(case)
    for case in skipped:
        lines = (case.findtext("system-out") or "").strip().splitlines()
        print(f"skipped: {case.get('name')}: {lines[-1] if lines else 'could not run'}")
    for case in failed:
        print(f"failed: {case.get('name')}")
    print(f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped")
    return bool(failed) or not passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
