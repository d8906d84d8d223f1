import pytest

from sf_detect.data.tables import read_csv, read_named_columns
from sf_detect.errors import DataError


def test_blank_lines_and_marks_of_editors(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfa, 1 \r\n\r\n,\r\nb,2\r\n")
    table = read_csv(path, "")
    assert table.rows == (("a", "1"), ("b", "2"))
    assert table.lines == (1, 4)
    assert table.numbers(1, "count").tolist() == [1, 2]


def test_quoted_commas(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('id,text\n1,"a, b"\n')
    table, places = read_named_columns(path, ("text",), "")
    assert table.column(places["text"]) == ["a, b"]


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"\xff\xfe\x00", "cannot be read as UTF-8 text"), (b"a" * 200_000, "is not comma-separated text")],
)
def test_what_is_no_table(tmp_path, data, message):
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_csv(path, "")


def test_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"a\.csv: does not exist; fetch it"):
        read_csv(tmp_path / "a.csv", "fetch it")
