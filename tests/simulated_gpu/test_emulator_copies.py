"""`cp.async` and `ldmatrix` in the emulator: what they do, and what misuse of them it finds."""

import numpy as np
import pytest

from tests.simulated_gpu.emulator import EmulatedModule, EmulatorError, available

pytestmark = pytest.mark.skipif(not available()[0], reason=available()[1])

f32 = np.float32
REVERSED = "x[threadIdx.x] = s[31 - threadIdx.x];"


def run_body(body, x=None, c=None):
    """One warp; s[64] is shared, x and the constant c are arrays of 64 floats."""
    source = f"""extern "C" __global__ void k(float* x, const float* c) {{
      __shared__ __align__(16) float s[64];
      const int i = threadIdx.x;
      {body}
    }}"""
    x = np.zeros(64, f32) if x is None else x
    c = np.arange(64, dtype=f32) if c is None else c
    EmulatedModule(source).get_function("k")((1,), (32,), (x, c))
    return x


@pytest.mark.parametrize("size", [1, 2, 4])
def test_copies_land_at_their_wait(size):
    x = run_body(
        f"""if (i < 32 / {size})
          ptx::copy_async<{4 * size}>(s + {size} * i, c + {size} * i, {size} * i != 8);
        ptx::copy_commit();
        ptx::copy_wait<0>();
        __syncthreads();
        {REVERSED}"""
    )
    expected = np.arange(32, dtype=f32)
    expected[8 : 8 + size] = 0  # said to lie outside
    np.testing.assert_array_equal(x[:32], expected[::-1])


GROUPS = """
  ptx::copy_async<4>(s + i, c + i, true);
  ptx::copy_commit();
  ptx::copy_async<4>(s + 32 + i, c + 32 + i, true);
  ptx::copy_commit();
"""


def test_a_wait_for_all_but_the_newest_group():
    x = run_body(f"{GROUPS} ptx::copy_wait<1>(); __syncthreads(); {REVERSED}")
    np.testing.assert_array_equal(x[:32], np.arange(32)[::-1])


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (f"{GROUPS} __syncthreads(); {REVERSED}", "read of .*may still be filling: wait first"),
        (f"{GROUPS} ptx::copy_wait<2>(); __syncthreads(); {REVERSED}", "may still be filling"),
        (
            "if (i < 16) { ptx::copy_async<4>(s + i, c, true); ptx::copy_commit(); }"
            "ptx::copy_wait<0>(); if (i >= 16) x[i] = s[i - 16];",
            "race on __shared__.*read by this thread, write by block 0 thread 0, no barrier",
        ),
        (f"{GROUPS} s[i] = 1;", "write of .*may still be filling"),
        (
            "s[i] = i; __syncthreads();"
            "if (i < 16) x[i] = s[i]; else ptx::copy_async<4>(s + i - 16, c, true);",
            "race on __shared__.*write by this thread, read by block 0 thread 0, no barrier",
        ),
        ("ptx::copy_async<4>(s + 33 + i, c + i, true);", "out of bounds write of 4 bytes"),
        ("ptx::copy_async<4>(s + i, c + 33 + i, true);", "out of bounds read of 4 bytes: arg1"),
        ("ptx::copy_async<16>(s + 4, c + 1 + i, true);", "misaligned 16-byte access: arg1"),
        ("ptx::copy_async<16>(s + 1, c, true);", "misaligned 16-byte access: __shared__"),
        ("ptx::copy_async<4>(x + i, c + i, true);", "copies to shared memory only"),
        ("unsigned d[4]; ptx::load_matrices<false>(d, s + i % 16 * 4);", "uninitialised shared"),
    ],
)
def test_finds(body, complaint):
    with pytest.raises(EmulatorError, match=complaint):
        run_body(body)


@pytest.mark.parametrize("transposed", [False, True])
def test_matrices_of_16_bit_elements(transposed):
    """Lane i gives row i % 8 of matrix i / 8 and gets elements 2 (i % 4) + {0, 1} of row i / 4"""
    source = f"""extern "C" __global__ void k(unsigned* out, const unsigned short* in) {{
      __shared__ __align__(16) unsigned short s[256];
      for (int e = threadIdx.x; e < 256; e += 32) s[e] = in[e];
      __syncthreads();
      unsigned d[4];
      ptx::load_matrices<{str(transposed).lower()}>(d, s + 8 * threadIdx.x);
      for (int m = 0; m < 4; m++) out[m * 32 + threadIdx.x] = d[m];
    }}"""
    matrices, out = np.arange(256, dtype=np.uint16).reshape(4, 8, 8), np.zeros(128, np.uint32)
    EmulatedModule(source).get_function("k")((1,), (32,), (out, matrices))
    expected = matrices.swapaxes(1, 2) if transposed else matrices
    np.testing.assert_array_equal(out.view(np.uint16).reshape(4, 8, 8), expected)


def test_rounding_to_tf32():
    source = """extern "C" __global__ void k(unsigned* x) {
      x[threadIdx.x] = ptx::round_tf32(x[threadIdx.x]);
    }"""
    ulp = f32(2.0**-10)
    values = [1 + ulp / 2, -1 - ulp / 2, 1 + ulp / 4, 1 + 3 * ulp / 2, np.inf, np.nan]
    x = np.array(values, f32)
    EmulatedModule(source).get_function("k")((1,), (6,), (x.view(np.uint32),))
    np.testing.assert_array_equal(x, f32([1 + ulp, -1 - ulp, 1, 1 + 2 * ulp, np.inf, np.nan]))
