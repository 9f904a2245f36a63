// Found by `#include <cuda_fp16.h>`. Every kernel already has it: see shim/half.h.
