// A library with the C interface of NVIDIA's cublasLt that computes on host memory, for tests.
//
// Enum values and structure sizes are those of cublasLt.h 13.10 (and of CUDA 12). As in the real
// one, matrices are column-major with a leading dimension, and what does not fit together is
// refused with the status the real one gives. Sums are in double and rounded once, at the end.
#include <math.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "fake_cublaslt.h"

// ---- one multiplication, checked ----------------------------------------------------------
struct Matrix {
  char *data;
  Attributes layout;

  int64_t rows() const { return layout[ROWS]; }
  int64_t columns() const { return layout[COLS]; }
  int64_t type() const { return layout[TYPE]; }
  int64_t index(int64_t row, int64_t column, int64_t batch) const {
    return batch * layout[BATCH_STRIDE] + column * layout[LD] + row;
  }
  double at(int64_t row, int64_t column, int64_t batch) const {
    return load(data, index(row, column, batch), type());
  }
};

struct Problem {
  Attributes desc;
  Matrix a, b, c, d;
  double alpha = 1, beta = 0;

  bool has(int epilogue) const { return desc[EPILOGUE] & epilogue; }
  bool wants_bias() const { return has(BIAS | BGRAD | BGRADA | BGRADB); }
  bool wants_aux() const { return has(AUX); }
  int64_t m() const { return desc[TRANSA] ? a.columns() : a.rows(); }
  int64_t n() const { return desc[TRANSB] ? b.rows() : b.columns(); }
  int64_t k() const { return desc[TRANSA] ? a.rows() : a.columns(); }
  int64_t batches() const { return d.layout[BATCH_COUNT]; }
  int64_t bias_type() const { return desc[BIAS_TYPE] == -1 ? d.type() : desc[BIAS_TYPE]; }
  int64_t aux_type() const { return desc[AUX_TYPE] == -1 ? d.type() : desc[AUX_TYPE]; }
  char *bias() const { return (char *)desc[BIAS_POINTER]; }
  char *aux() const { return (char *)desc[AUX_POINTER]; }
};

static bool known_epilogue(int64_t epilogue) {
  static const int known[] = {
      DEFAULT, RELU, RELU | AUX, BIAS, RELU | BIAS, RELU | AUX | BIAS, DRELU | AUX,
      DRELU | AUX | BGRAD, GELU, GELU | AUX, GELU | BIAS, GELU | AUX | BIAS, DGELU | AUX,
      DGELU | AUX | BGRAD, BGRADA, BGRADB};
  return std::find(std::begin(known), std::end(known), epilogue) != std::end(known);
}

static bool known_compute(int64_t compute) {
  static const int known[] = {COMPUTE_32F, COMPUTE_32F_PEDANTIC, COMPUTE_64F,
                              COMPUTE_64F_PEDANTIC, COMPUTE_32F_FAST_16F, COMPUTE_32F_FAST_16BF,
                              COMPUTE_32F_FAST_TF32};
  return std::find(std::begin(known), std::end(known), compute) != std::end(known);
}

// Table "cublasLtMatmul" of the cuBLAS manual: which storage goes with which computation.
static bool types_fit(const Problem &p) {
  const bool wide = p.desc[COMPUTE_TYPE] == COMPUTE_64F ||
                    p.desc[COMPUTE_TYPE] == COMPUTE_64F_PEDANTIC;
  const int64_t in = p.a.type(), out = p.d.type();
  if (p.b.type() != in || p.c.type() != out) return false;
  if (wide) return p.desc[SCALE_TYPE] == R_64F && in == R_64F && out == R_64F;
  if (p.desc[SCALE_TYPE] != R_32F || in == R_64F || out == R_64F) return false;
  const bool fast = p.desc[COMPUTE_TYPE] >= COMPUTE_32F_FAST_16F;
  if (fast) return in == R_32F && out == R_32F;
  return out == in || out == R_32F;
}

static bool layout_is_sound(const Attributes &layout) {
  return size_of(layout[TYPE]) && layout[ROWS] > 0 && layout[COLS] > 0 &&
         layout[LD] >= layout[ROWS] && layout[BATCH_COUNT] > 0;
}

static bool same_shape(const Matrix &x, const Matrix &y) {
  return x.rows() == y.rows() && x.columns() == y.columns();
}

static Status check_auxiliary(const Problem &p) {
  if (!p.wants_aux()) return SUCCESS;
  const int64_t multiple = p.has(RELU | DRELU) ? 128 : 8;
  const int64_t ld = p.desc[AUX_LD];
  return ld >= p.d.rows() && ld % multiple == 0 ? SUCCESS : INVALID_VALUE;
}

static Status check_epilogue(const Problem &p) {
  if (!known_epilogue(p.desc[EPILOGUE])) return INVALID_VALUE;
  if (p.wants_bias() && p.bias_type() != p.d.type() && p.bias_type() != p.a.type())
    return NOT_SUPPORTED;
  return check_auxiliary(p);
}

static Status check(const Problem &p) {
  for (const Matrix *matrix : {&p.a, &p.b, &p.c, &p.d})
    if (!layout_is_sound(matrix->layout)) return INVALID_VALUE;
  const int64_t inner = p.desc[TRANSB] ? p.b.columns() : p.b.rows();
  if (inner != p.k() || p.d.rows() != p.m() || p.d.columns() != p.n()) return INVALID_VALUE;
  if (!same_shape(p.c, p.d)) return INVALID_VALUE;
  for (const Matrix *matrix : {&p.a, &p.b, &p.c})
    if (matrix->layout[BATCH_COUNT] != p.batches()) return INVALID_VALUE;
  for (const Matrix *matrix : {&p.a, &p.b, &p.c, &p.d})
    if (matrix->layout[ORDER] != 0) return NOT_SUPPORTED;  // rows first: not done here
  if (!types_fit(p)) return NOT_SUPPORTED;
  return check_epilogue(p);
}

static bool misaligned(const void *pointer, size_t bytes) { return (uintptr_t)pointer % bytes; }

static Status check_pointers(const Problem &p) {
  if (!p.a.data || !p.b.data || !p.d.data || (!p.c.data && p.beta != 0)) return INVALID_VALUE;
  if (p.wants_bias() && !p.bias()) return INVALID_VALUE;
  if (p.wants_aux() && !p.aux()) return INVALID_VALUE;
  for (const Matrix *matrix : {&p.a, &p.b, &p.c, &p.d})
    if (misaligned(matrix->data, size_of(matrix->type()))) return INVALID_VALUE;
  if (p.wants_aux() && misaligned(p.aux(), ALIGNMENT)) return INVALID_VALUE;
  return SUCCESS;
}

// ---- arithmetic ---------------------------------------------------------------------------
static double gelu(double x) {  // the tanh fit, as cublasLt's
  return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double gelu_slope(double x) {
  const double scale = sqrt(2 / M_PI), t = tanh(scale * (x + 0.044715 * x * x * x));
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * scale * (1 + 3 * 0.044715 * x * x);
}

// One operand of one batch as (count, k): all that an element of D needs lies together.
static std::vector<double> gathered(const Problem &p, const Matrix &x, bool inner_is_row,
                                    int64_t count, int64_t batch) {
  const bool tf32 = p.desc[COMPUTE_TYPE] == COMPUTE_32F_FAST_TF32;
  std::vector<double> values;
  values.reserve(count * p.k());
  for (int64_t i = 0; i < count; i++)
    for (int64_t j = 0; j < p.k(); j++) {
      double value = inner_is_row ? x.at(j, i, batch) : x.at(i, j, batch);
      values.push_back(tf32 ? as_tf32(value) : value);
    }
  return values;
}

static std::vector<double> gathered_a(const Problem &p, int64_t batch) {
  return gathered(p, p.a, p.desc[TRANSA] != OP_N, p.m(), batch);
}

static std::vector<double> gathered_b(const Problem &p, int64_t batch) {
  return gathered(p, p.b, p.desc[TRANSB] == OP_N, p.n(), batch);
}

static bool read_bit(const char *bits, int64_t index) { return bits[index / 8] >> index % 8 & 1; }

static void write_bit(char *bits, int64_t index, bool value) {
  const char bit = 1 << index % 8;
  bits[index / 8] = value ? bits[index / 8] | bit : bits[index / 8] & ~bit;
}

// The epilogue of one element before rounding.
static double finish(const Problem &p, double x, int64_t row, int64_t column, int64_t batch) {
  if (p.has(BIAS))
    x += load(p.bias(), batch * p.desc[BIAS_BATCH_STRIDE] + row, p.bias_type());
  const int64_t aux = batch * p.desc[AUX_BATCH_STRIDE] + column * p.desc[AUX_LD] + row;
  if (p.has(RELU)) {
    if (p.wants_aux()) write_bit(p.aux(), aux, x > 0);
    return x != x ? x : std::max(x, 0.0);
  }
  if (p.has(GELU)) {
    if (p.wants_aux()) store(p.aux(), aux, p.aux_type(), x);
    return gelu(x);
  }
  if (p.has(DRELU)) return read_bit(p.aux(), aux) ? x : 0;
  if (p.has(DGELU)) return x * gelu_slope(load(p.aux(), aux, p.aux_type()));
  return x;
}

static void multiply(const Problem &p, int64_t batch) {
  const std::vector<double> a = gathered_a(p, batch), b = gathered_b(p, batch);
  std::vector<double> row_sums(p.m());
  for (int64_t column = 0; column < p.n(); column++)
    for (int64_t row = 0; row < p.m(); row++) {
      const double *x_row = &a[row * p.k()], *y_row = &b[column * p.k()];
      double x = p.alpha * std::inner_product(x_row, x_row + p.k(), y_row, 0.0);
      if (p.beta != 0) x += p.beta * p.c.at(row, column, batch);
      x = finish(p, x, row, column, batch);
      row_sums[row] += x;
      store(p.d.data, p.d.index(row, column, batch), p.d.type(), x);
    }
  const int64_t first = batch * p.desc[BIAS_BATCH_STRIDE];
  if (p.has(BGRAD))
    for (int64_t row = 0; row < p.m(); row++)
      store(p.bias(), first + row, p.bias_type(), row_sums[row]);
}

// Bias gradients of an operand: sums over the inner dimension.
static void reduce_operand(const Problem &p, int64_t batch) {
  const std::vector<double> x = p.has(BGRADA) ? gathered_a(p, batch) : gathered_b(p, batch);
  for (size_t i = 0; i < x.size() / p.k(); i++) {
    const double sum = std::accumulate(&x[i * p.k()], &x[i * p.k()] + p.k(), 0.0);
    store(p.bias(), batch * p.desc[BIAS_BATCH_STRIDE] + i, p.bias_type(), sum);
  }
}

static void run(const Problem &p) {
  for (int64_t batch = 0; batch < p.batches(); batch++) {
    if (p.has(BGRADA | BGRADB)) reduce_operand(p, batch);  // first: D may overwrite its operand
    multiply(p, batch);
  }
}

// ---- streams: the simulated device decides when work is done ------------------------------
// Gets a problem to run, now or at each replay, and to free; without one all is done at once.
typedef Status (*Scheduler)(Problem *problem, void *stream);
static Scheduler scheduler = nullptr;

static Status submit(Problem *problem, void *stream) {
  if (scheduler) return scheduler(problem, stream);
  run(*problem);
  delete problem;
  return SUCCESS;
}

extern "C" {
void fakeSetScheduler(Scheduler callback) { scheduler = callback; }
void fakeRun(Problem *problem) { run(*problem); }
void fakeFree(Problem *problem) { delete problem; }
}

// ---- the C interface ----------------------------------------------------------------------
extern "C" {
size_t cublasLtGetVersion() { return 131000; }

Status cublasLtCreate(void **handle) {
  if (!handle) return INVALID_VALUE;
  *handle = new int(0);
  return SUCCESS;
}
Status cublasLtDestroy(void *handle) {
  delete (int *)handle;
  return SUCCESS;
}

Status cublasLtMatmulDescCreate(Attributes **desc, int compute, int scale) {
  if (!desc || !known_compute(compute) || !size_of(scale)) return INVALID_VALUE;
  Attributes *made = *desc = new Attributes(DESC_ATTRIBUTES);
  made->define(COMPUTE_TYPE, 4, compute);
  made->define(SCALE_TYPE, 4, scale);
  for (int attribute : {POINTER_MODE, TRANSA, TRANSB, TRANSC}) made->define(attribute, 4);
  made->define(EPILOGUE, 4, DEFAULT);
  for (int attribute : {BIAS_POINTER, BIAS_BATCH_STRIDE, AUX_POINTER, AUX_LD, AUX_BATCH_STRIDE})
    made->define(attribute, 8);
  for (int attribute : {BIAS_TYPE, AUX_TYPE}) made->define(attribute, 4, -1);
  return SUCCESS;
}
Status cublasLtMatmulDescDestroy(Attributes *desc) {
  delete desc;
  return SUCCESS;
}
Status cublasLtMatmulDescSetAttribute(Attributes *desc, int attribute, const void *buffer,
                                      size_t size) {
  return desc ? desc->set(attribute, buffer, size) : INVALID_VALUE;
}
Status cublasLtMatmulDescGetAttribute(Attributes *desc, int attribute, void *buffer, size_t size,
                                      size_t *written) {
  return desc ? desc->get(attribute, buffer, size, written) : INVALID_VALUE;
}

Status cublasLtMatrixLayoutCreate(Attributes **layout, int type, uint64_t rows, uint64_t columns,
                                  int64_t ld) {
  if (!layout) return INVALID_VALUE;
  Attributes *made = *layout = new Attributes(LAYOUT_ATTRIBUTES);
  made->define(TYPE, 4, type);
  made->define(ORDER, 4);
  made->define(ROWS, 8, rows);
  made->define(COLS, 8, columns);
  made->define(LD, 8, ld);
  made->define(BATCH_COUNT, 4, 1);
  made->define(BATCH_STRIDE, 8);
  return SUCCESS;
}
Status cublasLtMatrixLayoutDestroy(Attributes *layout) {
  delete layout;
  return SUCCESS;
}
Status cublasLtMatrixLayoutSetAttribute(Attributes *layout, int attribute, const void *buffer,
                                        size_t size) {
  return layout ? layout->set(attribute, buffer, size) : INVALID_VALUE;
}

Status cublasLtMatmulPreferenceCreate(Attributes **preference) {
  if (!preference) return INVALID_VALUE;
  Attributes *made = *preference = new Attributes(PREFERENCE_ATTRIBUTES);
  made->define(MAX_WORKSPACE, 8);
  for (int attribute = MIN_ALIGNMENT_A; attribute <= MIN_ALIGNMENT_D; attribute++)
    made->define(attribute, 4, 256);
  return SUCCESS;
}
Status cublasLtMatmulPreferenceDestroy(Attributes *preference) {
  delete preference;
  return SUCCESS;
}
Status cublasLtMatmulPreferenceSetAttribute(Attributes *preference, int attribute,
                                            const void *buffer, size_t size) {
  return preference ? preference->set(attribute, buffer, size) : INVALID_VALUE;
}

Status cublasLtMatmulAlgoGetHeuristic(void *handle, Attributes *desc, Attributes *a, Attributes *b,
                                      Attributes *c, Attributes *d, Attributes *preference,
                                      int wanted, Heuristic *results, int *found) {
  if (!handle) return NOT_INITIALIZED;
  if (!desc || !a || !b || !c || !d || !preference || !results || !found || wanted < 1)
    return INVALID_VALUE;
  *found = 0;
  const Problem problem = {*desc, {nullptr, *a}, {nullptr, *b}, {nullptr, *c}, {nullptr, *d}};
  const Status status = check(problem);
  if (status != SUCCESS) return status;
  results[0] = Heuristic();
  results[0].workspace = std::min<size_t>(WORKSPACE_BYTES, (*preference)[MAX_WORKSPACE]);
  results[0].waves = 1;
  results[0].algo.data[0] = results[0].workspace;
  *found = 1;
  return SUCCESS;
}

// A null `algo` asks for any; the real one then also looks for one that suits the workspace.
Status cublasLtMatmul(void *handle, Attributes *desc, const void *alpha, const void *a_data,
                      Attributes *a, const void *b_data, Attributes *b, const void *beta,
                      const void *c_data, Attributes *c, void *d_data, Attributes *d,
                      const Algo *algo, void *workspace, size_t workspace_bytes, void *stream) {
  if (!handle) return NOT_INITIALIZED;
  if (!desc || !a || !b || !c || !d || !alpha || !beta) return INVALID_VALUE;
  if (!size_of((*desc)[SCALE_TYPE]) || (*desc)[POINTER_MODE] != 0) return NOT_SUPPORTED;
  Problem p = {*desc, {(char *)a_data, *a}, {(char *)b_data, *b}, {(char *)c_data, *c},
               {(char *)d_data, *d}};
  p.alpha = load((const char *)alpha, 0, (*desc)[SCALE_TYPE]);
  p.beta = load((const char *)beta, 0, (*desc)[SCALE_TYPE]);
  for (Status status : {check(p), check_pointers(p)})
    if (status != SUCCESS) return status;
  if (algo && algo->data[0] > workspace_bytes) return INVALID_VALUE;
  if (workspace_bytes && (!workspace || misaligned(workspace, ALIGNMENT))) return INVALID_VALUE;
  return submit(new Problem(p), stream);
}
}
