import pytest
from seeded_world import SeededWorld

from engine.sandbox.accounts import Limits, SandboxAccount, SandboxAccounts, SandboxRefusal, Space
from engine.sandbox.post_office import PostOffice, ReceivedEnvelope, is_local, message_id

NOW = 1000.0


def make_account(**limits) -> SandboxAccount:
    return SandboxAccount("a@a.example", Limits(**limits), Space(), NOW)


def test_the_usual_folders_are_there():
    account = make_account()
    assert {name: folder.special_use for name, folder in account.folders.items()} == {
        "INBOX": None,
        "Sent": "\\Sent",
        "Drafts": "\\Drafts",
        "Trash": "\\Trash",
        "Junk": "\\Junk",
    }
    assert account.folder("inbox") is account.folder("INBOX")
    with pytest.raises(SandboxRefusal, match="doesn't exist: sent") as refused:
        account.folder("sent")
    assert refused.value.code == "NONEXISTENT"


def test_uids_only_grow():
    folder = make_account().folder("INBOX")
    assert [folder.add(b"x", NOW).uid for _ in range(3)] == [1, 2, 3]
    folder.remove([2, 3, 99])
    assert folder.add(b"y", NOW).uid == 4
    assert [message.uid for message in folder.messages] == [1, 4]
    assert (folder.find(4).raw, folder.find(3), folder.find(9)) == (b"y", None, None)


def test_every_change_is_told_once_and_no_change_is_not():
    folder, told = make_account().folder("INBOX"), []
    folder.watch("me", lambda: told.append(folder.changes))
    message = folder.add(b"x", NOW)
    folder.set_flags(message, frozenset({"\\Seen"}))
    folder.set_flags(message, frozenset({"\\Seen"}))
    folder.remove([7])
    folder.remove([1])
    assert told == [1, 2, 3]
    folder.unwatch("me")
    folder.add(b"y", NOW)
    assert told == [1, 2, 3]


def test_keywords_are_kept_in_order_of_first_use():
    folder = make_account().folder("INBOX")
    message = folder.add(b"x", NOW, ["$B", "\\Seen"])
    folder.set_flags(message, frozenset({"$C", "$A", "$B"}))
    assert folder.keywords == ["$B", "$A", "$C"]


def test_the_oldest_arrivals_go_first_across_folders():
    account = make_account(account_bytes=10)
    inbox, sent = account.folder("INBOX"), account.folder("Sent")
    inbox.add(b"1234", NOW + 5)
    sent.add(b"1234", NOW)
    inbox.add(b"1234", NOW)
    account.make_room()
    assert (len(inbox.messages), len(sent.messages), account.space.bytes) == (1, 1, 8)
    sent.add(b"1234567890", NOW)
    account.make_room()
    assert (inbox.messages, [message.uid for message in sent.messages], account.space.messages) == ([], [2], 1)


def test_a_renamed_folder_keeps_its_messages_and_loses_its_use():
    account = make_account()
    account.folder("Sent").add(b"x", NOW)
    validity = account.folder("Sent").uid_validity
    account.create("Sent/2026", NOW)
    account.rename("Sent", "Old/Sent", NOW)
    moved = account.folder("Old/Sent")
    assert (moved.name, moved.uid_validity, len(moved.messages), moved.special_use) == ("Old/Sent", validity, 1, None)
    assert set(account.folders) == {"INBOX", "Drafts", "Trash", "Junk", "Old", "Old/Sent", "Old/Sent/2026"}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "CANNOT"),
        ("a//b", "CANNOT"),
        ("/a", "CANNOT"),
        ("a\r\nb", "CANNOT"),
        ("é", "CANNOT"),
        ("x" * 256, "CANNOT"),
        ("Sent", "ALREADYEXISTS"),
        ("InBox", "ALREADYEXISTS"),
        ("a/b/c/d", "LIMIT"),
    ],
)
def test_names_that_cannot_be(name, code):
    with pytest.raises(SandboxRefusal) as refused:
        make_account(folders=8).create(name, NOW)
    assert refused.value.code == code


def test_renaming_never_overwrites():
    account = make_account()
    for name in ("a/x", "b/x"):
        account.create(name, NOW)
    account.delete("b")
    with pytest.raises(SandboxRefusal, match="Target mailbox already exists"):
        account.rename("a", "b", NOW)
    assert {"a", "a/x", "b/x"} <= set(account.folders)


def test_space_is_given_back():
    accounts = SandboxAccounts(Limits())
    account = accounts.open("a", NOW)
    account.create("x", NOW)
    account.folder("x").add(b"1234", NOW)
    account.folder("INBOX").add(b"12", NOW)
    assert (accounts.space.bytes, accounts.space.messages) == (6, 2)
    account.delete("x")
    account.folder("INBOX").remove([1])
    assert (accounts.space.bytes, accounts.space.messages) == (0, 0)


def test_the_account_unused_for_longest_is_forgotten():
    accounts = SandboxAccounts(Limits(accounts=2))
    first, second = accounts.open("1", NOW), accounts.open("2", NOW)
    first.folder("INBOX").add(b"x", NOW)
    assert accounts.open("1", NOW) is first
    accounts.open("3", NOW)
    assert len(accounts) == 2
    assert accounts.open("1", NOW) is first
    again = accounts.open("2", NOW)
    assert again is not second
    assert again.folder("INBOX").uid_validity > second.folder("INBOX").uid_validity


def test_an_account_that_is_open_somewhere_is_not_forgotten():
    accounts = SandboxAccounts(Limits(accounts=1))
    first = accounts.open("1", NOW)
    first.folder("INBOX").watch("me", lambda: None)
    accounts.open("2", NOW)
    assert accounts.open("1", NOW) is first


def test_too_many_bytes_in_all_cost_whole_accounts():
    accounts = SandboxAccounts(Limits(total_bytes=10))
    for user in ("1", "2", "3"):
        account = accounts.open(user, NOW)
        account.folder("INBOX").add(b"1234", NOW)
        accounts.make_room(account)
    assert (len(accounts), accounts.space.bytes) == (2, 8)
    assert accounts.open("1", NOW).space.bytes == 0


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("a@sandbox.example", True),
        ("a@Sandbox.EXAMPLE", True),
        ("a@b.c.example", True),
        ("a@example", True),
        ("a@example.com", False),
        ("a@notexample", False),
        ("a@b.example@c.net", False),
        ("a@[127.0.0.1]", False),
    ],
)
def test_whose_address_it_is(address, local):
    assert is_local(address) is local


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"Message-ID: <1@a>\r\n\r\n", "<1@a>"),
        (b"Subject: x\r\nMESSAGE-id:\r\n\t<1@a>\r\n\r\n", "<1@a>"),
        (b"Message-ID:\r\nSubject: x\r\n\r\n", ""),
        (b"Subject: x\r\n\r\nMessage-ID: <body@a>\r\n", ""),
        (b"Message-ID: <1@a>", "<1@a>"),
        (b"", ""),
    ],
)
def test_message_ids(raw, name):
    assert message_id(raw) == name


def test_the_record_is_bounded():
    post = PostOffice(SeededWorld(1), Limits(log_entries=3, outside_bytes=8))
    post.now = lambda: NOW
    for number in range(5):
        post.deliver(ReceivedEnvelope(sender="", recipients=(f"{number}@example.com",)), b"1234")
    assert [one.recipient for one in post.delivered] == ["2@example.com", "3@example.com", "4@example.com"]
    assert [envelope.recipients for envelope, _ in post.outside] == [("3@example.com",), ("4@example.com",)]
    assert len({one.queue_id for one in post.delivered}) == 3
