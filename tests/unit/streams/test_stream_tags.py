import pytest

from whipway.streams.stream_tags import TagRefused, clean_tags


def test_each_tag_is_kept_once_where_it_came_first() -> None:
    assert clean_tags(["b", "a", "b", "Ä tag", "c"]) == ("b", "a", "Ä tag", "c")
    assert clean_tags([]) == ()
    assert clean_tags(["x"] * 60) == ("x",)
    assert len(clean_tags(str(number) for number in range(50))) == 50


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ([str(number) for number in range(51)], "at most 50 tags"),
        (["a", ""], "between 1 and 128"),
        (["x" * 129], "between 1 and 128"),
        (["a\0"], "cannot be printed"),
        (["a\ud800"], "cannot be printed"),
    ],
)
def test_tags_that_cannot_be_kept(tags: list[str], message: str) -> None:
    with pytest.raises(TagRefused, match=message):
        clean_tags(tags)
