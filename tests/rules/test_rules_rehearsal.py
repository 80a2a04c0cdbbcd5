"""The rehearsal meets what it is for: an alarm raised, cleared, revised by a late reading, and silence."""

from rules.rehearsal import rehearse


def test_a_rehearsal_raises_clears_revises_and_hears_silence() -> None:
    said = {(change.rule_id, change.kind, change.revised) for change in rehearse()}

    assert said >= {
        ("rehearsal.high", "raised", False),
        ("rehearsal.high", "cleared", False),
        ("rehearsal.high", "cleared", True),
        ("rehearsal.silent", "raised", False),
    }
