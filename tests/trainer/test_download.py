import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from trainer import archives
from trainer.__main__ import main
from trainer.archives import ARCHIVES, Archive, glove_check, install, snli_check, sst_check
from trainer.download import download
from trainer.errors import UserError

CONTENT = bytes(range(256)) * 4000


class Server(BaseHTTPRequestHandler):
    """Serves CONTENT with ranges; drops the connection after `cut` bytes as long as `cuts` lasts."""

    content, tag, cut, cuts, ranges, status = CONTENT, '"1"', 300_000, 0, [], None

    def do_GET(self):
        cls = type(self)
        given = self.headers.get("Range")
        cls.ranges.append(given)
        if cls.status:
            self.send_error(cls.status)
            return
        start = int(given[6:-1]) if given and self.headers.get("If-Range") == cls.tag else 0
        self.send_response(206 if start else 200)
        self.send_header("ETag", cls.tag)
        self.send_header("Content-Length", str(len(cls.content) - start))
        self.end_headers()
        body = cls.content[start:]
        if cls.cuts:
            cls.cuts -= 1
            body = body[: cls.cut]
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    class Fresh(Server):
        ranges: list = []  # noqa: RUF012

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Fresh)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    Fresh.url = f"http://127.0.0.1:{httpd.server_port}/some/file.zip"
    yield Fresh
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    server.cuts = 2
    seen = []
    path = download(server.url, tmp_path / "f" / "file.zip", lambda *now: seen.append(now), pause=0)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=600000-"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [file.name for file in path.parent.iterdir()] == ["file.zip"]
    download(server.url, path, pause=0)
    assert len(server.ranges) == 3, "a file that is there is not fetched again"


def test_it_goes_on_in_a_later_call(server, tmp_path):
    server.cuts, server.cut = 5, 1000
    with pytest.raises(UserError, match=r"failed 5 times.*file.zip.part keeps"):
        download(server.url, tmp_path / "file.zip", pause=0)
    assert download(server.url, tmp_path / "file.zip", pause=0).read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=5000-"


def test_a_file_that_changed_meanwhile_is_fetched_anew(server, tmp_path):
    server.cuts = 5
    server.cut = 1000
    with pytest.raises(UserError):
        download(server.url, tmp_path / "file.zip", pause=0)
    server.tag, server.content = '"2"', CONTENT[::-1]
    assert download(server.url, tmp_path / "file.zip", pause=0).read_bytes() == CONTENT[::-1]


def test_a_missing_file_is_not_asked_for_again(server, tmp_path):
    server.status = 404
    with pytest.raises(UserError, match=r"file\.zip: the server answered 404"):
        download(server.url, tmp_path / "file.zip", pause=0)
    assert len(server.ranges) == 1


def test_sst_is_checked_by_content(sst_folder):
    path = sst_folder / "sst" / "dev.txt"
    with pytest.raises(UserError, match=r"40 trees.* wanted 7"):
        sst_check(7, "0")(path)
    with pytest.raises(UserError) as error:
        sst_check(40, "0" * 64)(path)
    assert "digest" in str(error.value)


def test_snli_pairs_without_a_gold_label_do_not_count(tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = [
        {"gold_label": label, "sentence1": "a", "sentence2": "b"} for label in ("neutral", "-", "entailment")
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert snli_check(2, None)(path) == "2 pairs, as published"
    assert snli_check(9, None)(path) == "2 pairs, a part of the 9 published"
    with pytest.raises(UserError, match="wanted 2"):
        snli_check(2, "0")(path)
    path.write_text('{"gold_label": "neutral"}\n')
    with pytest.raises(UserError, match="line 1: not a pair"):
        snli_check(2, None)(path)


def test_install_from_folder_and_zip(tmp_path):
    archive = Archive(
        "", "", {"glove.3d.txt": glove_check(2, 3), "glove.9d.txt": glove_check(2, 9)}, parts=True
    )
    source = tmp_path / "source" / "deep"
    source.mkdir(parents=True)
    (source / "glove.3d.txt").write_text("a 1 2 3\nb 1 2 3\n")
    (source / "other.txt").write_text("x")
    said = []
    (done,) = install(archive, tmp_path / "source", tmp_path / "one", said.append)
    assert said == ["glove.3d.txt: 2 words, as published"]
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as file:
        file.writestr("../../glove.3d.partial.txt", "a 1 2 3\n")
        file.writestr("__MACOSX/glove.9d.txt", "junk")
    (part,) = install(archive, tmp_path / "z.zip", tmp_path / "two", said.append)
    assert part == tmp_path / "two" / "glove.3d.partial.txt"
    assert said[-1].endswith("1 words, a part of 2")
    assert done.read_text().startswith("a 1 2 3")


def test_a_file_that_fails_its_check_is_not_installed(tmp_path):
    archive = Archive("", "", {"glove.3d.txt": glove_check(2, 3)})
    (tmp_path / "glove.3d.txt").write_text("a 1 2 3\nb 1 2\n")
    with pytest.raises(UserError, match="line 2: wanted a word and 3 numbers"):
        install(archive, tmp_path, tmp_path / "out", print)
    assert not list((tmp_path / "out").iterdir())
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds none of glove.3d.txt"):
        install(archive, tmp_path / "empty", tmp_path / "out", print)
    with pytest.raises(UserError, match="neither a folder nor a zip"):
        install(archive, tmp_path / "glove.3d.txt", tmp_path / "out", print)


def test_the_command_downloads_checks_and_unpacks(server, tmp_path, monkeypatch, capsys):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as file:
        file.writestr("trees/glove.3d.txt", "a 1 2 3\n")
    server.content = (tmp_path / "z.zip").read_bytes()
    archive = Archive(server.url, "free", {"glove.3d.txt": glove_check(1, 3)})
    monkeypatch.setitem(archives.ARCHIVES, "sst", archive)
    assert main(["data", "sst", "--data", str(tmp_path / "data")]) == 0
    assert (tmp_path / "data" / "sst" / "glove.3d.txt").read_text() == "a 1 2 3\n"
    assert not list((tmp_path / "data" / "downloads").iterdir())
    assert "1 words, as published" in capsys.readouterr().out
    assert main(["data", "imagenet"]) == 1
    assert "there are: sst, snli" in capsys.readouterr().err


def test_every_archive_is_over_https():
    assert all(archive.url.startswith("https://") for archive in ARCHIVES.values())
