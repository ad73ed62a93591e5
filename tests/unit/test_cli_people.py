"""`engine people`: links, the list, removing."""

import contextlib
import json

import pytest

from engine import cli
from engine.store import audit, database, entry_links, people
from engine.world import World

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def ann(folder):
    """A reader, and a journal for her."""
    assert cli.main(["people", "link", "--create"]) == 0
    with contextlib.closing(database.open_writer(folder)) as db:
        people.add(db, "Ann", "reader", None, World().now())
    return folder


def link_of(folder, url):
    with contextlib.closing(database.open_reader(folder)) as db:
        return entry_links.find(db, url.rpartition("key=")[2].strip(), World().now())


def test_a_link_for_someone_new(ann, capsys):
    capsys.readouterr()
    assert cli.main(["people", "link", "--role", "operator"]) == 0
    url = capsys.readouterr().out
    assert "/admin/enter?key=" in url
    assert (link_of(ann, url).role, link_of(ann, url).person) == ("operator", None)


def test_a_link_for_someone_keeps_the_role(ann, capsys):
    capsys.readouterr()
    assert cli.main(["people", "link", "--name", "ann", "--json"]) == 0
    found = link_of(ann, json.loads(capsys.readouterr().out)["url"])
    assert (found.role, found.person) == ("reader", 1)
    assert cli.main(["people", "link", "--name", "eve"]) == 2


def test_people_are_listed_and_removed(ann, capsys):
    capsys.readouterr()
    assert cli.main(["people", "list", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["role"], shown["codes"]) == ("Ann", "reader", False)
    assert cli.main(["people", "remove", "ann"]) == 0
    assert cli.main(["people", "remove", "ann"]) == 1
    with contextlib.closing(database.open_reader(ann)) as db:
        assert people.every(db) == []
        first = next(audit.entries(db, audit.AuditFilter()))
        assert (first.token, first.operation, first.object) == ("cli", "person.remove", "Ann")
