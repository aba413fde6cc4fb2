"""Arrays written in parts and read in blocks are those of numpy."""

import numpy as np
import pytest

from dualenc.data import arrays


@pytest.mark.parametrize("shape", [(0,), (1,), (1000,), (0, 3), (7, 3), (70_000, 3)])
@pytest.mark.parametrize("parts", [1, 2, 13])
def test_the_bytes_are_those_of_numpy(tmp_path, shape, parts):
    array = np.random.default_rng(0).normal(size=shape).astype(np.float16)
    arrays.write(tmp_path / "ours.npy", np.array_split(array, parts), np.float16, *shape[1:])
    np.save(tmp_path / "theirs.npy", array)
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()


def test_values_are_converted(tmp_path):
    arrays.write(tmp_path / "a.npy", [np.array([1, 2]), np.array([3.0])], np.uint16)
    assert np.load(tmp_path / "a.npy").dtype == np.uint16 and np.load(tmp_path / "a.npy").tolist() == [1, 2, 3]


@pytest.mark.parametrize("size", [1, 4, 5, 10, 11])
def test_blocks_are_the_array(tmp_path, size):
    array = np.arange(20).reshape(10, 2)
    np.save(tmp_path / "a.npy", array)
    blocks = list(arrays.blocks(tmp_path / "a.npy", size))
    assert [len(block) for block in blocks[:-1]] == [size] * (len(blocks) - 1) and len(blocks[-1]) <= size
    np.testing.assert_array_equal(np.concatenate(blocks), array)


def test_an_empty_array_has_no_blocks(tmp_path):
    arrays.write(tmp_path / "a.npy", [], np.float16, 8)
    assert np.load(tmp_path / "a.npy").shape == (0, 8) and list(arrays.blocks(tmp_path / "a.npy", 4)) == []


def test_what_breaks_off_leaves_nothing(tmp_path):
    def broken():
        yield np.zeros(5)
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        arrays.write(tmp_path / "a.npy", broken(), np.float32)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_wherever_it_fills_up(small_disk):
    disk = small_disk(1 << 16)
    (disk / "ballast").write_bytes(bytes(1 << 15))
    parts = [np.full((100, 16), number, dtype=np.float16) for number in range(11)]  # 35 kB
    with pytest.raises(OSError, match="No space left"):
        arrays.write(disk / "rows.npy", iter(parts), np.float16, 16)
    assert [path.name for path in disk.iterdir()] == ["ballast"]
