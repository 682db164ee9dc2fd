#pragma once

#include "richardson_lucy.h"

namespace imgrestore {

// The two halves of an iteration in tiles: scene to quotients, and quotients to the new scene.
void launch_richardson_lucy_ratio(const RichardsonLucyPlan& plan, const RichardsonLucy& r, Stream stream);
void launch_richardson_lucy_update(const RichardsonLucyPlan& plan, const RichardsonLucy& r, Stream stream);

}  // namespace imgrestore
