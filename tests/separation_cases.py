"""The tasks that take pictures apart by a `Separator`, and nets for them whose answers are known."""

from imgrestore import dereflect, derust, deshadow, despecular
from imgrestore.nets.separator import Separator, SeparatorConfig

# Name, function, form and name of the layer, and a change of it that shows.
TASKS = {
    "deshadow": (deshadow, "factor", "gain", -0.8),
    "dereflect": (dereflect, "added", "reflection", 0.05),
    "despecular": (despecular, "added", "specular", 0.2),
    "derust": (derust, "covered", "density", 0.1),
}


def net_of(form, change=0.0, odds=0.0):
    """A net that changes the layer by a number, and holds damage as likely as another says, everywhere and at all."""
    config = SeparatorConfig(form=form, width=4, blocks=(1, 1), glance=4, view=16, code=2)
    net = Separator(config).eval().requires_grad_(False)
    bias = net.unet.head.bias.unflatten(0, (-1, 4))
    bias.fill_(change)
    bias[-1] = odds
    net.judge[-1].weight.zero_()
    net.judge[-1].bias.fill_(odds)
    return net
