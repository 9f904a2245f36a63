// Found by `#include <cuda_bf16.h>`. Every kernel already has it: see shim/half.h.
