// Found by `#include <cooperative_groups.h>`. Every kernel already has it: see shim/warp.h.
