#pragma once

#include <pybind11/pybind11.h>

// What module.cpp puts together; a file for each.
namespace imgrestore {

void bind_faults(pybind11::module_& m);
void bind_mma(pybind11::module_& m);

}  // namespace imgrestore
