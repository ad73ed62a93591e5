"""The commands for an administrator in what a refusal means: a user's name is one argument in them, whatever it is."""

from __future__ import annotations

import pytest

from engine.smtp.named_refusals import Who, named

MISMATCH = "BAD User is authenticated but not connected."
MAILBOX = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox."


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("ann+x@x.example", "ann+x@x.example"),
        ("Shared Box@x.example", "'Shared Box@x.example'"),
        ("a; Remove-Mailbox b@x.example", "'a; Remove-Mailbox b@x.example'"),
        ("$(evil)@x.example", "'$(evil)@x.example'"),
        ("a'; evil; 'b\u2019; evil", "'a''; evil; ''b\u2019\u2019; evil'"),
        ("a\nevil\u202e", "'aevil'"),
        ("-Confirm", "'-Confirm'"),
    ],
)
def test_a_name_is_one_argument_of_the_command(name: str, argument: str) -> None:
    for response, who, commands in (
        (MAILBOX, Who(name), [f"-Identity {argument} -SmtpClientAuthenticationDisabled"]),
        (MAILBOX.replace("Mailbox", "Tenant"), Who(name), [f"-Identity {argument} -Smtp"]),
        ("535 5.7.139 Authentication unsuccessful, blocked.", Who(name), [f"-Identity {argument} -Smtp"]),
        (
            MISMATCH,
            Who(name, "bob@x.example"),
            [f"-Identity {argument} -User bob@x.example", f"CASMailbox {argument} -"],
        ),
        (MISMATCH, Who("bob@x.example", name), [f"-Identity bob@x.example -User {argument} -AccessRights"]),
    ):
        meant = named(response, who)
        assert meant is not None and all(each in meant.hint for each in commands), meant


def test_an_unknown_mailbox_is_a_gap_to_fill_in() -> None:
    meant = named(MAILBOX, Who(""))
    assert meant is not None and "-Identity MAILBOX -Smtp" in meant.hint
