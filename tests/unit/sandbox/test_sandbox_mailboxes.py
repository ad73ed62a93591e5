import pytest

from engine.sandbox.mailboxes import Limits, Mailbox, Mailboxes, Refused, Space
from engine.sandbox.post_office import Envelope, PostOffice, is_local, message_id
from engine.world import SeededWorld

NOW = 1000.0


def make_mailbox(**limits) -> Mailbox:
    return Mailbox("a@a.example", Limits(**limits), Space(), NOW)


def test_the_usual_folders_are_there():
    mailbox = make_mailbox()
    assert {name: folder.special_use for name, folder in mailbox.folders.items()} == {
        "INBOX": None,
        "Sent": "\\Sent",
        "Drafts": "\\Drafts",
        "Trash": "\\Trash",
        "Junk": "\\Junk",
    }
    assert mailbox.folder("inbox") is mailbox.folder("INBOX")
    with pytest.raises(Refused, match="doesn't exist: sent") as refused:
        mailbox.folder("sent")
    assert refused.value.code == "NONEXISTENT"


def test_uids_only_grow():
    folder = make_mailbox().folder("INBOX")
    assert [folder.add(b"x", NOW).uid for _ in range(3)] == [1, 2, 3]
    folder.remove([2, 3, 99])
    assert folder.add(b"y", NOW).uid == 4
    assert [message.uid for message in folder.messages] == [1, 4]
    assert (folder.find(4).raw, folder.find(3), folder.find(9)) == (b"y", None, None)


def test_every_change_is_told_once_and_no_change_is_not():
    folder, told = make_mailbox().folder("INBOX"), []
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
    folder = make_mailbox().folder("INBOX")
    message = folder.add(b"x", NOW, ["$B", "\\Seen"])
    folder.set_flags(message, frozenset({"$C", "$A", "$B"}))
    assert folder.keywords == ["$B", "$A", "$C"]


def test_the_oldest_arrivals_go_first_across_folders():
    mailbox = make_mailbox(mailbox_bytes=10)
    inbox, sent = mailbox.folder("INBOX"), mailbox.folder("Sent")
    inbox.add(b"1234", NOW + 5)
    sent.add(b"1234", NOW)
    inbox.add(b"1234", NOW)
    mailbox.make_room()
    assert (len(inbox.messages), len(sent.messages), mailbox.space.bytes) == (1, 1, 8)
    sent.add(b"1234567890", NOW)
    mailbox.make_room()
    assert (inbox.messages, [message.uid for message in sent.messages], mailbox.space.messages) == ([], [2], 1)


def test_a_renamed_folder_keeps_its_messages_and_loses_its_use():
    mailbox = make_mailbox()
    mailbox.folder("Sent").add(b"x", NOW)
    validity = mailbox.folder("Sent").uid_validity
    mailbox.create("Sent/2026", NOW)
    mailbox.rename("Sent", "Old/Sent", NOW)
    moved = mailbox.folder("Old/Sent")
    assert (moved.name, moved.uid_validity, len(moved.messages), moved.special_use) == ("Old/Sent", validity, 1, None)
    assert set(mailbox.folders) == {"INBOX", "Drafts", "Trash", "Junk", "Old", "Old/Sent", "Old/Sent/2026"}


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
    with pytest.raises(Refused) as refused:
        make_mailbox(folders=8).create(name, NOW)
    assert refused.value.code == code


def test_renaming_never_overwrites():
    mailbox = make_mailbox()
    for name in ("a/x", "b/x"):
        mailbox.create(name, NOW)
    mailbox.delete("b")
    with pytest.raises(Refused, match="Target mailbox already exists"):
        mailbox.rename("a", "b", NOW)
    assert {"a", "a/x", "b/x"} <= set(mailbox.folders)


def test_space_is_given_back():
    boxes = Mailboxes(Limits())
    mailbox = boxes.open("a", NOW)
    mailbox.create("x", NOW)
    mailbox.folder("x").add(b"1234", NOW)
    mailbox.folder("INBOX").add(b"12", NOW)
    assert (boxes.space.bytes, boxes.space.messages) == (6, 2)
    mailbox.delete("x")
    mailbox.folder("INBOX").remove([1])
    assert (boxes.space.bytes, boxes.space.messages) == (0, 0)


def test_the_mailbox_unused_for_longest_is_forgotten():
    boxes = Mailboxes(Limits(mailboxes=2))
    first, second = boxes.open("1", NOW), boxes.open("2", NOW)
    first.folder("INBOX").add(b"x", NOW)
    assert boxes.open("1", NOW) is first
    boxes.open("3", NOW)
    assert len(boxes) == 2
    assert boxes.open("1", NOW) is first
    again = boxes.open("2", NOW)
    assert again is not second
    assert again.folder("INBOX").uid_validity > second.folder("INBOX").uid_validity


def test_a_mailbox_that_is_open_somewhere_is_not_forgotten():
    boxes = Mailboxes(Limits(mailboxes=1))
    first = boxes.open("1", NOW)
    first.folder("INBOX").watch("me", list)
    boxes.open("2", NOW)
    assert boxes.open("1", NOW) is first


def test_too_many_bytes_in_all_cost_whole_mailboxes():
    boxes = Mailboxes(Limits(total_bytes=10))
    for user in ("1", "2", "3"):
        mailbox = boxes.open(user, NOW)
        mailbox.folder("INBOX").add(b"1234", NOW)
        boxes.make_room(mailbox)
    assert (len(boxes), boxes.space.bytes) == (2, 8)
    assert boxes.open("1", NOW).space.bytes == 0


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
        post.deliver(Envelope(sender="", recipients=(f"{number}@example.com",)), b"1234")
    assert [one.recipient for one in post.delivered] == ["2@example.com", "3@example.com", "4@example.com"]
    assert [envelope.recipients for envelope, _ in post.outside] == [("3@example.com",), ("4@example.com",)]
    assert len({one.queue_id for one in post.delivered}) == 3
