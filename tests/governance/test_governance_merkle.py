"""The tree of RFC 9162 against a naive twin that says what the RFC says, and the test vectors of the CT project."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline.governance.merkle import (
    EMPTY_ROOT,
    Frontier,
    check_consistency,
    check_inclusion,
    consistency_path,
    inclusion_path,
    leaf_hash,
    root_of,
)

DATA = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Of the first 1 to 8 entries: the vectors that certificate-transparency implementations share."""


def naive_root(data: list[bytes]) -> bytes:
    """MTH of section 2.1.1, word by word."""
    if not data:
        return sha256(b"").digest()
    if len(data) == 1:
        return sha256(b"\x00" + data[0]).digest()
    split = 1
    while split * 2 < len(data):
        split *= 2
    return sha256(b"\x01" + naive_root(data[:split]) + naive_root(data[split:])).digest()


def naive_inclusion(leaves: list[bytes], index: int) -> list[bytes]:
    """PATH of section 2.1.3.1, word by word, over leaf hashes."""
    if len(leaves) == 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if index < split:
        return [*naive_inclusion(leaves[:split], index), root_of(leaves[split:])]
    return [*naive_inclusion(leaves[split:], index - split), root_of(leaves[:split])]


def naive_consistency(leaves: list[bytes], older: int, *, whole: bool = True) -> list[bytes]:
    """SUBPROOF of section 2.1.4.1, word by word, over leaf hashes."""
    if older == len(leaves):
        return [] if whole else [root_of(leaves)]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if older <= split:
        return [*naive_consistency(leaves[:split], older, whole=whole), root_of(leaves[split:])]
    return [*naive_consistency(leaves[split:], older - split, whole=False), root_of(leaves[:split])]


def inclusion_proof(leaves: list[bytes], index: int) -> list[bytes]:
    return [root_of(leaves[start:end]) for start, end in inclusion_path(len(leaves), index)]


def consistency_proof(leaves: list[bytes], older: int) -> list[bytes]:
    return [root_of(leaves[start:end]) for start, end in consistency_path(len(leaves), older)]


@pytest.mark.parametrize("size", range(1, 9))
def test_the_shared_vectors(size: int) -> None:
    assert root_of([leaf_hash(bytes.fromhex(one)) for one in DATA[:size]]).hex() == ROOTS[size - 1]


def test_no_leaf_has_the_hash_of_nothing() -> None:
    assert root_of([]) == EMPTY_ROOT == naive_root([])


@given(st.lists(st.binary(max_size=8), max_size=40), st.data())
def test_roots_and_proofs_agree_with_the_twin(data: list[bytes], draw: st.DataObject) -> None:
    leaves = [leaf_hash(one) for one in data]
    root = naive_root(data)
    assert root_of(leaves) == root
    if not leaves:
        return
    index = draw.draw(st.integers(0, len(leaves) - 1))
    proof = inclusion_proof(leaves, index)
    assert proof == naive_inclusion(leaves, index)
    assert check_inclusion(leaves[index], index, len(leaves), proof, root)
    older = draw.draw(st.integers(1, len(leaves)))
    assert consistency_proof(leaves, older) == naive_consistency(leaves, older)
    old_root = naive_root(data[:older])
    assert check_consistency(older, old_root, len(leaves), root, consistency_proof(leaves, older))


@given(st.integers(1, 40), st.data())
def test_a_proof_of_something_else_is_refused(size: int, draw: st.DataObject) -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(size)]
    root = root_of(leaves)
    index, other = draw.draw(st.integers(0, size - 1)), draw.draw(st.integers(0, size - 1))
    proof = inclusion_proof(leaves, index)
    if other != index:
        assert not check_inclusion(leaves[other], index, size, proof, root)
    assert not check_inclusion(leaf_hash(b"strange"), index, size, proof, root)
    assert not check_inclusion(leaves[index], index, size, [*proof, root], root)
    if proof:
        assert not check_inclusion(leaves[index], index, size, proof[:-1], root)
    older = draw.draw(st.integers(1, size))
    parts = consistency_proof(leaves, older)
    wrong = leaf_hash(b"wrong")
    assert not check_consistency(older, wrong, size, root, parts)
    if older < size:
        assert not check_consistency(older, root_of(leaves[:older]), size, wrong, parts)
        assert not check_consistency(older, root_of(leaves[:older]), size, root, [])


@given(st.lists(st.binary(max_size=4), max_size=40), st.integers(0, 40))
def test_a_frontier_goes_on_where_it_stopped(data: list[bytes], cut: int) -> None:
    leaves = [leaf_hash(one) for one in data]
    first = Frontier()
    first.extend(leaves[:cut])
    second = Frontier(first.size, first.peaks)
    second.extend(leaves[cut:])

    assert second.root == naive_root(data)
    assert second.size == len(data)


def test_impossible_questions_are_refused() -> None:
    with pytest.raises(IndexError):
        inclusion_path(1, 1)
    with pytest.raises(IndexError):
        consistency_path(1, 2)
    with pytest.raises(ValueError, match="full subtrees"):
        Frontier(3, [b"x"])
    assert not check_inclusion(leaf_hash(b""), 3, 2, [], EMPTY_ROOT)
    assert not check_consistency(3, EMPTY_ROOT, 2, EMPTY_ROOT, [])
