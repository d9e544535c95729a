"""What the explorers share in Python: sheets of images, and what is there until they run."""

import torch

from helpers.lessons import explore, lesson_02


def test_images_side_by_side_have_each_its_place():
    tiles = torch.rand(7, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    sheet = explore.side_by_side(tiles, 3)
    assert sheet.shape == (2, 3 * 4, 3 * 5)
    for i, tile in enumerate(tiles):
        row, column = divmod(i, 3)
        assert torch.equal(sheet[:, 4 * row : 4 * row + 4, 5 * column : 5 * column + 5], tile)
    assert not sheet[:, 8:, 5:].any()


def test_stills_are_small():
    sizes = [file.stat().st_size for file in explore.STILLS.glob("*.webp")]
    assert len(sizes) == 10
    assert max(sizes) < 40_000


def test_until_it_runs_an_explorer_is_its_still_or_says_what_to_do(monkeypatch, tmp_path):
    explorer = lesson_02.pooling_explorer()
    assert f'<img alt="{explorer.still}" src="data:image/webp;base64,' in explorer.fragment()
    monkeypatch.setattr(explore, "STILLS", tmp_path)
    assert "<img" not in explorer.fragment()
    assert "run the cell" in explorer.fragment()
