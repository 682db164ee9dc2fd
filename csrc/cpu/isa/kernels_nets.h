// Kernels of the blocks of the nets, compiled once for each instruction set within a namespace of its own.
