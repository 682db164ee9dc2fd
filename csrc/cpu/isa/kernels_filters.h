// Kernels of the filters, compiled once for each instruction set within a namespace of its own.
