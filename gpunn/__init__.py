from gpunn import config
