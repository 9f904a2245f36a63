// What fake_cublaslt.cpp is made of: NVIDIA's constants, descriptors, storage types.
#pragma once
#include <stdint.h>
#include <string.h>

#include <vector>

// ---- constants of cublas_api.h, library_types.h and cublasLt.h -----------------------------
enum Status { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum DataType { R_32F = 0, R_64F = 1, R_16F = 2, R_16BF = 14 };
enum ComputeType { COMPUTE_32F = 68, COMPUTE_32F_PEDANTIC = 69, COMPUTE_64F = 70,
                   COMPUTE_64F_PEDANTIC = 71, COMPUTE_32F_FAST_16F = 74,
                   COMPUTE_32F_FAST_16BF = 75, COMPUTE_32F_FAST_TF32 = 77 };
enum Operation { OP_N = 0, OP_T = 1, OP_C = 2 };
enum Epilogue { DEFAULT = 1, RELU = 2, BIAS = 4, DRELU = 8, BGRAD = 16, GELU = 32, DGELU = 64,
                AUX = 128, BGRADA = 256, BGRADB = 512 };
enum DescAttribute { COMPUTE_TYPE = 0, SCALE_TYPE = 1, POINTER_MODE = 2, TRANSA = 3, TRANSB = 4,
                     TRANSC = 5, EPILOGUE = 7, BIAS_POINTER = 8, BIAS_BATCH_STRIDE = 10,
                     AUX_POINTER = 11, AUX_LD = 12, AUX_BATCH_STRIDE = 13, AUX_TYPE = 22,
                     BIAS_TYPE = 26, DESC_ATTRIBUTES = 42 };
enum LayoutAttribute { TYPE = 0, ORDER = 1, ROWS = 2, COLS = 3, LD = 4, BATCH_COUNT = 5,
                       BATCH_STRIDE = 6, LAYOUT_ATTRIBUTES = 9 };
enum PreferenceAttribute { MAX_WORKSPACE = 1, MIN_ALIGNMENT_A = 5, MIN_ALIGNMENT_D = 8,
                           PREFERENCE_ATTRIBUTES = 16 };

const size_t WORKSPACE_BYTES = 4096;  // what our only algorithm says it needs, if it may
const size_t ALIGNMENT = 16;          // what it needs of pointers, as the tensor core ones do

// ---- descriptors: attribute -> value, each of a fixed size --------------------------------
struct Attributes {
  std::vector<int64_t> values;
  std::vector<uint8_t> sizes;  // 0: no such attribute
  Attributes(int count) : values(count, 0), sizes(count, 0) {}

  void define(int attribute, int size, int64_t initial = 0) {
    sizes[attribute] = size;
    values[attribute] = initial;
  }
  bool misfits(int attribute, const void *buffer, size_t size) const {
    return attribute < 0 || attribute >= (int)sizes.size() || !buffer || !sizes[attribute] ||
           sizes[attribute] != size;
  }
  Status set(int attribute, const void *buffer, size_t size) {
    if (misfits(attribute, buffer, size)) return INVALID_VALUE;
    int32_t narrow;
    if (size == 4) memcpy(&narrow, buffer, 4), values[attribute] = narrow;
    else memcpy(&values[attribute], buffer, 8);
    return SUCCESS;
  }
  Status get(int attribute, void *buffer, size_t size, size_t *written) const {
    if (misfits(attribute, buffer, size)) return INVALID_VALUE;
    memcpy(buffer, &values[attribute], size);  // little endian
    if (written) *written = size;
    return SUCCESS;
  }
  int64_t operator[](int attribute) const { return values[attribute]; }
};

struct Algo { uint64_t data[8]; };
struct Heuristic {
  Algo algo;
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(Heuristic) == 96, "as cublasLtMatmulHeuristicResult_t");

// ---- storage types ------------------------------------------------------------------------
static size_t size_of(int64_t type) {
  switch (type) {
    case R_32F: return 4;
    case R_64F: return 8;
    case R_16F: case R_16BF: return 2;
    default: return 0;
  }
}

static double load(const char *base, int64_t index, int64_t type) {
  float narrow;
  double wide;
  _Float16 half;
  uint16_t bits;
  uint32_t word;
  const char *at = base + index * size_of(type);
  switch (type) {
    case R_64F: memcpy(&wide, at, 8); return wide;
    case R_32F: memcpy(&narrow, at, 4); return narrow;
    case R_16F: memcpy(&half, at, 2); return half;
    default:
      memcpy(&bits, at, 2);
      word = (uint32_t)bits << 16;
      memcpy(&narrow, &word, 4);
      return narrow;
  }
}

static void store(char *base, int64_t index, int64_t type, double value) {
  float narrow = value;
  _Float16 half = (_Float16)narrow;
  uint32_t word;
  uint16_t bits;
  char *at = base + index * size_of(type);
  switch (type) {
    case R_64F: memcpy(at, &value, 8); return;
    case R_32F: memcpy(at, &narrow, 4); return;
    case R_16F: memcpy(at, &half, 2); return;
    default:
      memcpy(&word, &narrow, 4);
      word += 0x7fff + (word >> 16 & 1);  // to nearest even
      bits = value != value ? 0x7fff : word >> 16;
      memcpy(at, &bits, 2);
  }
}

static double as_tf32(double value) {
  float narrow = value;
  uint32_t word;
  memcpy(&word, &narrow, 4);
  word = (word + 0x0fff + (word >> 13 & 1)) & ~0x1fffu;
  memcpy(&narrow, &word, 4);
  return narrow;
}
