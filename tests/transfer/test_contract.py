"""The contract of the seam: what file doors may rely on, held against the real folder and its double."""

import pytest

from models.codes import Code
from tests.transfer.support import NAME, UP, Both, get, names, put
from transfer.view import Begin, Kind, NameTaken, NoSuchName, NotAllowed, TooLarge, Visit

SHORT = "Conversions_2026_05.csv"
RENAMED, MARKED = "/upload/renamed", "/marked"
FAILED = f"{UP}/wrong.txt"


async def state(visit: Visit, path: str) -> str:
    return (await visit.stat(path)).state


# --- the tree


async def test_the_tree(both: Both) -> None:
    visit = await both.enter()
    assert await names(visit, "/") == ["marked", "samples", "upload"]
    assert await names(visit, "/upload") == ["conversions", "renamed"]
    assert await names(visit, UP) == ["dryrun", "results"]
    assert await names(visit, f"{UP}/results") == await names(visit, f"{UP}/dryrun") == []
    assert (await visit.stat("/")).kind is Kind.FOLDER
    assert (await visit.stat(UP)).writable
    assert not (await visit.stat("/upload")).writable


@pytest.mark.parametrize("path", ["//upload//conversions/", "/upload/./conversions", "/upload/conversions/results/..",
                                  "/../../upload/conversions", "upload/conversions"])  # fmt: skip
async def test_paths_that_mean_a_folder(both: Both, path: str) -> None:
    assert (await (await both.enter()).stat(path)).name == "conversions"


@pytest.mark.parametrize("path", ["/etc/passwd", "/upload/conversions/../../etc/passwd", "/nobody", f"{UP}/none.csv",
                                  f"{UP}/results/none", "/samples/none"])  # fmt: skip
async def test_what_is_not_there(both: Both, path: str) -> None:
    visit = await both.enter()
    for ask in (visit.stat, visit.list, visit.read):
        with pytest.raises(NoSuchName):
            await ask(path)


async def test_samples_are_read_and_nothing_else(both: Both) -> None:
    visit = await both.enter()
    assert await names(visit, "/samples") == ["conversions_sample.csv", "conversions_sample.jsonl"]
    for name in await names(visit, "/samples"):
        assert len(await get(visit, f"/samples/{name}")) == (await visit.stat(f"/samples/{name}")).size > 0
        with pytest.raises(NotAllowed):
            await visit.remove(f"/samples/{name}")


async def test_folders_are_made_by_the_operator(both: Both) -> None:
    visit = await both.enter()
    for path in ("/", "/upload", UP, f"{UP}/results", "/samples"):
        await visit.make_folder(path)
    for path in ("/new", f"{UP}/new", f"{UP}/results/new"):
        with pytest.raises(NotAllowed):
            await visit.make_folder(path)
    for path in (UP, f"{UP}/results"):
        with pytest.raises(NotAllowed):
            await visit.remove(path)
        with pytest.raises(NotAllowed):
            await visit.rename(path, f"{UP}/x.csv", replace=True)
        with pytest.raises(NotAllowed):
            await visit.write(path, Begin.TRUNCATE)
        with pytest.raises(NotAllowed):
            await visit.read(path)


@pytest.mark.parametrize("path", ["/x.csv", "/upload/x.csv", f"{UP}/results/x.csv", "/samples/x.csv"])
async def test_where_nothing_is_uploaded(both: Both, path: str) -> None:
    with pytest.raises(NotAllowed):
        await (await both.enter()).write(path, Begin.TRUNCATE)


async def test_a_file_is_no_folder(both: Both) -> None:
    visit = await both.enter()
    await put(visit, NAME, b"x")
    with pytest.raises(NotAllowed):
        await visit.list(NAME)
    with pytest.raises(NoSuchName):
        await visit.write(f"{NAME}/y.csv", Begin.TRUNCATE)


# --- names


@pytest.mark.parametrize("name", ["a\nb.csv", "a\x00b.csv", "a\u202eb.csv", "x" * 256, "\x7f.csv", "\udcff.csv"])
async def test_names_that_are_refused(both: Both, name: str) -> None:
    visit = await both.enter()
    with pytest.raises(NotAllowed) as told:
        await visit.write(f"{UP}/{name}", Begin.TRUNCATE)
    assert told.value.code is Code.NAME_INVALID
    await put(visit, NAME, b"x")
    with pytest.raises(NotAllowed):
        await visit.rename(NAME, f"{UP}/{name}", replace=True)
    assert await names(visit, UP) == [SHORT, "dryrun", "results"]


@pytest.mark.parametrize("name", ["receipt_x.csv", "RESULT_x.csv", "Receipt_"])
async def test_names_of_our_answers_are_refused(both: Both, name: str) -> None:
    with pytest.raises(NotAllowed) as told:
        await (await both.enter()).write(f"{UP}/{name}", Begin.TRUNCATE)
    assert told.value.code is Code.RESERVED_PREFIX


async def test_names_are_nfc_and_base_names(both: Both) -> None:
    visit = await both.enter()
    await put(visit, f"{UP}/Conversions_e\u0301.csv", b"x")
    await put(visit, UP + "/C:\\data\\Conversions_2.csv", b"x")
    assert await names(visit, UP) == ["Conversions_2.csv", "Conversions_\u00e9.csv", "dryrun", "results"]
    assert (await visit.stat(f"{UP}/Conversions_e\u0301.csv")).size == 1


async def test_a_folder_keeps_its_name(both: Both) -> None:
    visit = await both.enter()
    await put(visit, NAME, b"x")
    with pytest.raises(NotAllowed):
        await visit.rename(NAME, f"{UP}/results", replace=True)


# --- bytes


async def test_an_upload_grows_for_everybody(both: Both) -> None:
    visit, other = await both.enter(), await both.enter()
    writer = await visit.write(NAME, Begin.TRUNCATE)
    assert await state(other, NAME) == "receiving"
    await writer.write(0, b"x" * 700)
    assert writer.size == (await other.stat(NAME)).size == 700
    assert await writer.read(600, 500) == b"x" * 100
    await writer.close()
    assert await state(other, NAME) == "settling"
    assert await get(other, NAME) == b"x" * 700


async def test_blocks_in_any_order(both: Both) -> None:
    visit = await both.enter()
    whole = bytes(range(256)) * 40
    writer = await visit.write(NAME, Begin.TRUNCATE)
    for start in (2000, 0, 1000, 6000, 4000, 3000, 5000, 7000, 9000, 8000, 10_000, 500):
        await writer.write(start, whole[start : start + 1000])
    await writer.write(3, whole[3:20])
    assert writer.size == len(whole)
    assert (await writer.close()).state == "settling"
    assert await get(visit, NAME) == whole


async def test_a_hole_makes_it_incomplete(both: Both) -> None:
    visit = await both.enter()
    writer = await visit.write(NAME, Begin.TRUNCATE)
    await writer.write(0, b"x" * 100)
    await writer.write(200, b"x" * 100)
    with pytest.raises(NotAllowed, match="100 to 199 never came"):
        await writer.close()
    there = await visit.stat(NAME)
    assert (there.state, there.size, there.code) == ("incomplete", 100, Code.INCOMPLETE)
    assert await both.settle() == 0


async def test_truncate(both: Both) -> None:
    visit = await both.enter()
    writer = await visit.write(NAME, Begin.TRUNCATE)
    await writer.write(0, b"abcdef")
    await writer.truncate(3)
    await writer.truncate(5)
    await writer.write(4, b"Z")
    await writer.close()
    assert await get(visit, NAME) == b"abc\0Z"


async def test_an_empty_file_is_stored(both: Both) -> None:
    visit = await both.enter()
    assert (await put(visit, NAME, b"")).state == "settling"
    assert (await visit.stat(NAME)).size == 0


async def test_a_closed_handle_takes_nothing(both: Both) -> None:
    visit = await both.enter()
    writer = await visit.write(NAME, Begin.TRUNCATE)
    await writer.write(0, b"abc")
    await writer.close()
    for late in (writer.write(0, b"x"), writer.read(0, 1), writer.truncate(0), writer.close()):
        with pytest.raises(NotAllowed):
            await late
    await writer.break_off()
    assert await state(visit, NAME) == "settling"
    assert await get(visit, NAME) == b"abc"
    assert await both.settle() == 1


# --- settling


async def test_settled_when_untouched(both: Both) -> None:
    visit = await both.enter()
    word = await put(visit, NAME, b"abc")
    assert (word.state, len(word.trace_id)) == ("settling", 26)
    assert await both.settle(4.9) == 0
    assert await both.settle(0.1) == 1
    there = await visit.stat(NAME)
    assert (there.state, there.size) == ("import_job_created", 3)
    assert f"receipt_{SHORT}.txt" in await names(visit, f"{UP}/results")
    assert b"status: import_job_created" in await get(visit, f"{UP}/results/receipt_{SHORT}.txt")


async def test_the_end_of_the_session_changes_nothing(both: Both) -> None:
    visit = await both.enter()
    await put(visit, NAME, b"abc")
    await visit.leave()
    assert await both.settle() == 1


@pytest.mark.parametrize("begin", [Begin.RESUME, Begin.APPEND])
async def test_opened_again_while_it_settles(both: Both, begin: Begin) -> None:
    visit = await both.enter()
    first = await put(visit, NAME, b"abc")
    both.clock.forward(seconds=4)
    again = await put(visit, NAME, b"def", begin, at=3)
    assert again.trace_id == first.trace_id
    assert await both.settle(4.9) == 0
    assert await get(visit, NAME) == b"abcdef"
    assert await both.settle(0.1) == 1


async def test_nothing_settles_while_it_is_open(both: Both) -> None:
    visit = await both.enter()
    await put(visit, NAME, b"abc")
    writer = await visit.write(NAME, Begin.RESUME)
    assert await both.settle(100) == 0
    await writer.close()
    assert await both.settle(5) == 1


async def test_replaced_while_it_settles(both: Both) -> None:
    visit = await both.enter()
    first = await put(visit, NAME, b"abc")
    second = await put(visit, NAME, b"xyz")
    assert first.trace_id != second.trace_id
    assert await get(visit, NAME) == b"xyz"
    assert await both.settle() == 1


async def test_removed_while_it_settles(both: Both) -> None:
    visit = await both.enter()
    await put(visit, NAME, b"abc")
    await visit.remove(NAME)
    with pytest.raises(NoSuchName):
        await visit.stat(NAME)
    with pytest.raises(NoSuchName):
        await visit.remove(NAME)
    assert await both.settle() == 0


async def test_exclusive(both: Both) -> None:
    visit = await both.enter()
    await put(visit, NAME, b"abc", Begin.EXCLUSIVE)
    with pytest.raises(NameTaken):
        await visit.write(NAME, Begin.EXCLUSIVE)


async def test_append_writes_behind_the_end_whatever_the_offset(both: Both) -> None:
    visit = await both.enter()
    await put(visit, NAME, b"abc")
    writer = await visit.write(NAME, Begin.APPEND)
    await writer.write(0, b"def")
    await writer.close()
    assert await get(visit, NAME) == b"abcdef"


async def test_a_name_that_fits_nobody_fails_and_stays(both: Both) -> None:
    visit = await both.enter()
    assert (await put(visit, FAILED, b"abc")).state == "settling"
    assert await both.settle() == 1
    there = await visit.stat(FAILED)
    assert (there.state, there.code, there.size) == ("upload_failed", Code.NAME_NOT_MATCHED, 3)
    assert "Conversions_*.csv" in there.reason
    assert b"status: upload_failed" in await get(visit, f"{UP}/results/receipt_wrong.txt.txt")
    both.clock.forward(hours=1)
    assert await state(visit, FAILED) == "upload_failed"
    for refused in (visit.rename(FAILED, NAME, replace=True), visit.read(FAILED), visit.write(FAILED, Begin.RESUME)):
        with pytest.raises(NotAllowed):
            await refused
    assert (await put(visit, FAILED, b"again")).state == "settling"
    await visit.remove(FAILED)
    assert await names(visit, UP) == ["dryrun", "results"]


async def test_a_version_after_acceptance(both: Both) -> None:
    visit = await both.enter()
    first = await put(visit, NAME, b"abc")
    await both.settle()
    second = await put(visit, NAME, b"xyz!")
    assert second.trace_id != first.trace_id
    assert (await state(visit, NAME), (await visit.stat(NAME)).size) == ("settling", 4)
    assert await both.settle() == 1


async def test_appended_after_acceptance(both: Both) -> None:
    visit = await both.enter()
    first = await put(visit, NAME, b"abc")
    await both.settle()
    second = await put(visit, NAME, b"def", Begin.APPEND)
    assert second.trace_id != first.trace_id
    assert await get(visit, NAME) == b"abcdef"


async def test_an_accepted_file_is_not_read_or_renamed(both: Both) -> None:
    visit = await both.enter()
    await put(visit, NAME, b"abc")
    await both.settle()
    with pytest.raises(NotAllowed):
        await visit.read(NAME)
    with pytest.raises(NotAllowed):
        await visit.rename(NAME, f"{UP}/Conversions_b.csv", replace=True)


async def test_dry_runs_are_answered_beside_the_others(both: Both) -> None:
    visit = await both.enter()
    await put(visit, f"{UP}/dryrun/{SHORT}", b"abc")
    assert await names(visit, UP) == ["dryrun", "results"]
    assert await both.settle() == 1
    assert await names(visit, f"{UP}/results") == [f"receipt_{SHORT}.txt"]
    with pytest.raises(NotAllowed):
        await visit.rename(f"{UP}/dryrun/{SHORT}", NAME, replace=True)


async def test_answers_are_removed(both: Both) -> None:
    visit = await both.enter()
    await put(visit, NAME, b"abc")
    await both.settle()
    await visit.remove(f"{UP}/results/receipt_{SHORT}.txt")
    assert await names(visit, f"{UP}/results") == []
    with pytest.raises(NoSuchName):
        await visit.remove(f"{UP}/results/receipt_{SHORT}.txt")


# --- cuts


@pytest.mark.parametrize("sent", [0, 1, 500, 990, 1000])
async def test_cut_and_resumed(both: Both, sent: int) -> None:
    visit = await both.enter()
    whole = bytes(index % 251 for index in range(1000))
    writer = await visit.write(NAME, Begin.TRUNCATE)
    await writer.write(0, whole[:sent])
    await writer.break_off()
    await visit.leave()
    visit = await both.enter()
    there = await visit.stat(NAME)
    assert (there.state, there.code, there.size) == ("incomplete", Code.INCOMPLETE, sent)
    assert b"status: incomplete" in await get(visit, f"{UP}/results/receipt_{SHORT}.txt")
    assert await both.settle(1000) == 0
    await put(visit, NAME, whole[sent:], Begin.RESUME, at=sent)
    assert await get(visit, NAME) == whole
    assert await both.settle() == 1


async def test_leaving_breaks_off(both: Both) -> None:
    visit = await both.enter()
    writer = await visit.write(NAME, Begin.TRUNCATE)
    await writer.write(0, b"abc")
    await visit.leave()
    other = await both.enter()
    assert await state(other, NAME) == "incomplete"


async def test_an_incomplete_file_stays_so_when_renamed(both: Both) -> None:
    visit = await both.enter()
    writer = await visit.write(f"{UP}/.x", Begin.TRUNCATE)
    await writer.write(0, b"abc")
    await writer.break_off()
    assert await visit.rename(f"{UP}/.x", NAME, replace=True) is None
    assert await state(visit, NAME) == "incomplete"


async def test_resumed_by_another_session(both: Both) -> None:
    visit, other = await both.enter(), await both.enter()
    lost = await visit.write(NAME, Begin.TRUNCATE)
    await lost.write(0, b"abc")
    word = await put(other, NAME, b"def", Begin.RESUME, at=3)
    for dead in (lost.write(3, b"x"), lost.close()):
        with pytest.raises(NotAllowed):
            await dead
    await lost.break_off()
    assert (await state(other, NAME), word.state) == ("settling", "settling")
    assert await get(other, NAME) == b"abcdef"


async def test_removed_under_its_writer(both: Both) -> None:
    visit = await both.enter()
    writer = await visit.write(NAME, Begin.TRUNCATE)
    await writer.write(0, b"abc")
    await visit.remove(NAME)
    for dead in (writer.write(3, b"x"), writer.close()):
        with pytest.raises(NotAllowed):
            await dead
    assert await names(visit, UP) == ["dryrun", "results"]


# --- rename


@pytest.mark.parametrize("old", [".Conversions.csv", "Conversions_1.csv.filepart", "x.part", "y.TMP", "z.partial"])
async def test_renamed_from_a_temporary_name(both: Both, old: str) -> None:
    visit = await both.enter()
    word = await put(visit, f"{UP}/{old}", b"abc")
    assert (word.state, await state(visit, f"{UP}/{old}")) == ("held", "held")
    assert "temporary" in word.reason
    assert await both.settle(1000) == 0
    renamed = await visit.rename(f"{UP}/{old}", NAME, replace=False)
    assert renamed is not None
    assert (renamed.trace_id, renamed.state) == (word.trace_id, "settling")
    assert await both.settle(0) == 1


async def test_renamed_while_it_settles(both: Both) -> None:
    visit = await both.enter()
    await put(visit, f"{UP}/other.csv", b"abc")
    both.clock.forward(seconds=4)
    assert await visit.rename(f"{UP}/other.csv", NAME, replace=False) is not None
    assert await both.settle(4) == 0
    assert await both.settle(1) == 1
    assert await state(visit, NAME) == "import_job_created"


async def test_renamed_to_a_temporary_name_it_is_held(both: Both) -> None:
    visit = await both.enter()
    await put(visit, NAME, b"abc")
    assert await visit.rename(NAME, f"{UP}/.away", replace=False) is None
    assert await both.settle(100) == 0
    assert await state(visit, f"{UP}/.away") == "held"


async def test_rename_onto_what_is_not_judged(both: Both) -> None:
    visit = await both.enter()
    first = await put(visit, NAME, b"old")
    await put(visit, f"{UP}/.new", b"new")
    with pytest.raises(NameTaken):
        await visit.rename(f"{UP}/.new", NAME, replace=False)
    renamed = await visit.rename(f"{UP}/.new", NAME, replace=True)
    assert renamed is not None
    assert renamed.trace_id != first.trace_id
    assert await get(visit, NAME) == b"new"
    assert await both.settle(100) == 1


async def test_rename_onto_what_was_accepted_is_a_version(both: Both) -> None:
    visit = await both.enter()
    await put(visit, NAME, b"old")
    await both.settle()
    await put(visit, f"{UP}/.new", b"new!")
    assert await visit.rename(f"{UP}/.new", NAME, replace=False) is not None
    assert await both.settle(0) == 1
    assert (await visit.stat(NAME)).size == 4


async def test_rename_onto_what_is_being_written_to(both: Both) -> None:
    visit = await both.enter()
    writer = await visit.write(NAME, Begin.TRUNCATE)
    await put(visit, f"{UP}/.new", b"new")
    with pytest.raises(NameTaken):
        await visit.rename(f"{UP}/.new", NAME, replace=True)
    await writer.close()


async def test_rename_of_nothing_and_across_folders(both: Both) -> None:
    visit = await both.enter()
    with pytest.raises(NoSuchName):
        await visit.rename(f"{UP}/none", NAME, replace=True)
    await put(visit, NAME, b"abc")
    for target in ("/upload/renamed/x.csv", f"{UP}/results/x.csv", "/x.csv"):
        with pytest.raises(NotAllowed):
            await visit.rename(NAME, target, replace=True)
    assert await visit.rename(NAME, NAME, replace=False) is None


async def test_only_renamed_files(both: Both) -> None:
    visit = await both.enter()
    word = await put(visit, f"{RENAMED}/a.csv", b"abc")
    assert word.state == "held"
    assert "only renamed files" in word.reason
    assert await both.settle(1000) == 0
    assert await visit.rename(f"{RENAMED}/a.csv", f"{RENAMED}/b.csv", replace=False) is not None
    assert await both.settle(0) == 1


async def test_what_was_complete_at_once_is_no_longer_taken_back(both: Both) -> None:
    """Two renames to one name in a row are two versions, however fast; a remove comes too late."""
    visit = await both.enter()
    words = []
    for content in (b"one", b"two"):
        await put(visit, f"{UP}/.new", content)
        words.append(await visit.rename(f"{UP}/.new", NAME, replace=True))
    with pytest.raises(NotAllowed):
        await visit.rename(NAME, f"{UP}/other.csv", replace=True)
    assert (await put(visit, NAME, b"three", Begin.RESUME)).state == "settling"
    assert await both.settle() == 1
    for word in words:
        assert word is not None
        assert await both.fate(word.trace_id) == "import_job_created"


# --- markers


@pytest.mark.parametrize("ending", [".done", ".ok"])
@pytest.mark.parametrize("content", [b"", b"1\n"])
async def test_a_marker_behind_its_file(both: Both, ending: str, content: bytes) -> None:
    visit = await both.enter()
    word = await put(visit, f"{MARKED}/a.csv", b"abc")
    assert word.state == "held"
    assert await both.settle(1000) == 0
    marked = await put(visit, f"{MARKED}/a.csv{ending}", content)
    assert (marked.trace_id, marked.state) == (word.trace_id, "settling")
    assert await names(visit, MARKED) == ["a.csv", "dryrun", "results"]
    assert await both.settle(0) == 1


async def test_a_marker_before_its_file(both: Both) -> None:
    visit = await both.enter()
    word = await put(visit, f"{MARKED}/a.csv.done", b"")
    assert (word.state, word.trace_id) == ("held", "")
    assert await names(visit, MARKED) == ["a.csv.done", "dryrun", "results"]
    assert (await put(visit, f"{MARKED}/a.csv", b"abc")).state == "settling"
    assert await names(visit, MARKED) == ["a.csv", "dryrun", "results"]
    assert await both.settle(0) == 1


async def test_a_marker_that_is_cut_marks_nothing(both: Both) -> None:
    visit = await both.enter()
    await put(visit, f"{MARKED}/a.csv", b"abc")
    await (await visit.write(f"{MARKED}/a.csv.done", Begin.TRUNCATE)).break_off()
    assert await state(visit, f"{MARKED}/a.csv") == "held"


async def test_a_temporary_name_and_a_marker(both: Both) -> None:
    visit = await both.enter()
    await put(visit, f"{MARKED}/a.csv.tmp", b"abc")
    assert await visit.rename(f"{MARKED}/a.csv.tmp", f"{MARKED}/a.csv", replace=False) is None
    assert await state(visit, f"{MARKED}/a.csv") == "held"
    assert (await put(visit, f"{MARKED}/a.csv.ok", b"")).state == "settling"


async def test_a_marker_elsewhere_is_a_file(both: Both) -> None:
    visit = await both.enter()
    await put(visit, NAME, b"abc")
    word = await put(visit, f"{NAME}.done", b"")
    assert (word.state, await state(visit, NAME)) == ("settling", "settling")
    assert await names(visit, UP) == [SHORT, f"{SHORT}.done", "dryrun", "results"]


async def test_a_waiting_marker_is_removed(both: Both) -> None:
    visit = await both.enter()
    await put(visit, f"{MARKED}/a.csv.done", b"")
    with pytest.raises(NotAllowed):
        await visit.rename(f"{MARKED}/a.csv.done", f"{MARKED}/b.csv", replace=True)
    await visit.remove(f"{MARKED}/a.csv.done")
    assert (await put(visit, f"{MARKED}/a.csv", b"abc")).state == "held"


# --- walls


async def test_accounts_are_walls(both: Both) -> None:
    visit, thief = await both.enter(), await both.enter("other")
    await put(visit, NAME, b"secret")
    await put(visit, f"{UP}/.held", b"secret")
    assert await names(thief, "/") == ["samples", "upload"]
    assert await names(thief, UP) == ["dryrun", "results"]
    for ask in (
        thief.stat(NAME), thief.read(NAME), thief.remove(NAME), thief.rename(NAME, f"{UP}/x.csv", replace=True),
        thief.list("/marked"), thief.write("/marked/x.csv", Begin.TRUNCATE), thief.list("/upload/renamed"),
    ):  # fmt: skip
        with pytest.raises(NoSuchName):
            await ask
    await put(thief, NAME, b"mine")
    assert await get(visit, NAME) == b"secret"
    assert await both.settle() == 2
    await thief.remove(f"{UP}/results/receipt_{SHORT}.txt")
    assert await names(visit, f"{UP}/results") == [f"receipt_{SHORT}.txt"]


async def test_a_login_there_is_not(both: Both) -> None:
    with pytest.raises(NotAllowed):
        await both.enter("nobody")


# --- too large


async def test_too_large_is_refused_and_nothing_kept(both: Both) -> None:
    visit = await both.enter()
    writer = await visit.write(NAME, Begin.TRUNCATE)
    await writer.write(0, b"x" * 1000)
    for refused in (
        lambda: writer.write(100_000_000, b"x"),
        lambda: writer.write(1000, b"x"),
        lambda: writer.truncate(0),
        writer.close,
    ):
        with pytest.raises(TooLarge, match="larger than") as told:
            await refused()
        assert told.value.code is Code.FILE_TOO_LARGE
    await writer.break_off()
    with pytest.raises(NoSuchName):
        await visit.stat(NAME)
    assert (await put(visit, NAME, b"abc")).state == "settling"


async def test_too_large_by_truncation(both: Both) -> None:
    visit = await both.enter()
    writer = await visit.write(NAME, Begin.TRUNCATE)
    with pytest.raises(TooLarge):
        await writer.truncate(100_000_001)
    with pytest.raises(TooLarge):
        await writer.close()


# --- several handles


async def test_two_sessions_write_one_name(both: Both) -> None:
    visit, other = await both.enter(), await both.enter()
    first, second = await visit.write(NAME, Begin.TRUNCATE), await other.write(NAME, Begin.TRUNCATE)
    await second.write(0, b"second")
    assert (await second.close()).state == "settling"
    assert await get(visit, NAME) == b"second"
    await first.break_off()
    assert await get(visit, NAME) == b"second"
    assert await both.settle() == 1
