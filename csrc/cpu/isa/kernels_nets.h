// Kernels of the blocks of the nets, compiled once for each instruction set within a namespace of its own.
#include "../channel_norm_kernel.h"
#include "../depthwise_gate_kernel.h"
#include "../gated_block_kernel.h"
#include "../patch_conv_kernel.h"
