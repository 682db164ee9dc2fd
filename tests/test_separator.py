"""The net that takes pictures apart: the identity at first, exact layers, masks that are obeyed."""

import pytest
import torch

from imgrestore.nets.registry import hollow, name_of
from imgrestore.nets.separator import (
    LAYERS,
    Separator,
    SeparatorConfig,
    added_layer,
    covered_layer,
    factor_layer,
)

FORMS = pytest.mark.parametrize("form", sorted(LAYERS))


def small(form, change=0.0, odds=0.0):
    """A net whose layer changes by one number, and whose odds are another."""
    net = Separator(SeparatorConfig(form=form, width=4, blocks=(1, 1), glance=4, view=16, code=2)).eval()
    bias = net.unet.head.bias.data.unflatten(0, (-1, 4))
    bias.fill_(change)
    bias[-1] = odds
    return net


def drawn(form, size=(37, 50), seed=0):
    """A picture, its classical estimate, the layer and the mask that belong to it."""
    generator = torch.Generator().manual_seed(seed)
    picture = 0.2 + 0.6 * torch.rand(2, 3, *size, generator=generator)
    found = (torch.rand(2, 1, *size, generator=generator) < 0.5).float()
    if form == "factor":
        layer = -0.5 * found.expand(-1, 3, -1, -1)
        return picture, picture * torch.exp(-layer), layer, found
    if form == "added":
        layer = 0.1 * found.expand(-1, 3, -1, -1)
        return picture, picture - layer, layer, found
    layer = torch.cat([0.4 * found.expand(-1, 3, -1, -1), 0 * found], dim=1)
    return picture, picture * torch.exp(layer[:, :3]), layer, found


@FORMS
def test_a_new_net_gives_the_classical_estimate(form):
    picture, estimate, layer, found = drawn(form)
    with torch.no_grad():
        result = small(form)(picture, estimate, layer, found)
    assert torch.allclose(result.scene, estimate, atol=1e-6)
    assert torch.equal(result.layer, layer)
    assert result.odds.shape == (2, 1, 37, 50)
    assert (result.filling is not None) == (form == "covered")


@pytest.mark.parametrize(("form", "change"), [("factor", -0.3), ("added", 0.05)])
def test_scene_and_layer_make_the_picture(form, change):
    picture, estimate, layer, found = drawn(form)
    with torch.no_grad():
        result = small(form, change, odds=2.0)(picture, estimate, layer, found)
    assert float((result.layer - layer).abs().max()) > 0.7 * abs(change)
    again = result.scene * torch.exp(result.layer) if form == "factor" else result.scene + result.layer
    assert torch.allclose(again, picture, atol=1e-6)


@FORMS
def test_a_mask_is_obeyed(form):
    """Where the user says that nothing is, nothing changes, whatever the net holds likely."""
    picture, estimate, layer, found = drawn(form)
    given = torch.zeros(2, 2, 37, 50)
    given[:, 1] = 1
    given[:, 0, :, :20] = 1
    change = -0.3 if form == "factor" else 0.1
    with torch.no_grad():
        result = small(form, change, odds=-9.0)(picture, estimate, layer, found, given)
        unasked = small(form, change, odds=-30.0)(picture, estimate, layer, found)
    assert torch.equal(result.layer[..., 20:], layer[..., 20:])
    assert float((result.layer - layer)[..., :20].abs().min()) > 0.05
    assert torch.allclose(unasked.layer, layer, atol=1e-6)


def test_layers_stay_in_their_ranges_and_keep_their_gradient():
    picture = torch.full((1, 3, 4, 4), 0.3)
    layer = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
    scene, held = factor_layer(picture, layer)
    assert float(held.max()) == pytest.approx(0, abs=1e-7)
    scene.sum().backward()
    assert float(layer.grad.abs().min()) > 0
    scene, held = added_layer(picture, layer.detach())
    assert torch.equal(scene, torch.zeros_like(scene))
    assert torch.equal(held, picture)
    assert float(added_layer(picture, -layer.detach())[1].max()) == 0


def test_a_crust_shows_what_is_filled_in():
    picture, filling = torch.full((1, 3, 4, 4), 0.2), torch.full((1, 3, 4, 4), 0.7)
    layer = torch.zeros(1, 4, 4, 4)
    layer[:, 3, :2] = 2.0
    scene, held = covered_layer(picture, layer, filling)
    assert torch.allclose(scene[:, :, :2], filling[:, :, :2])
    assert torch.equal(scene[:, :, 2:], picture[:, :, 2:])
    assert float(held.max()) == 1


def test_the_whole_picture_is_looked_at_where_a_part_is_given():
    net = small("added", odds=1.0)
    with torch.no_grad():
        net.tell.weight.normal_(generator=torch.Generator().manual_seed(0))
        net.unet.head.weight.normal_(generator=torch.Generator().manual_seed(1))
        net.unet.stem.weight.normal_(generator=torch.Generator().manual_seed(2))
        picture, estimate, layer, found = drawn("added")
        whole = torch.rand(2, 6, 16, 16, generator=torch.Generator().manual_seed(3))
        alone = net(picture, estimate, layer, found)
        told = net(picture, estimate, layer, found, view=whole)
    assert float((alone.odds - told.odds).abs().max()) > 1e-3


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"form": "other"}, "form is 'other'; expected one of factor, added, covered"),
        ({"view": 8}, "view is 8; expected at least 9"),
        ({"width": 0}, "expected numbers of at least 1"),
        ({"blocks": ()}, "expected numbers of at least 1"),
    ],
)
def test_sizes_that_make_no_net_are_refused(fields, told):
    with pytest.raises(ValueError, match=told):
        SeparatorConfig(**fields)


@FORMS
def test_files_of_weights_can_name_it(form):
    net = small(form)
    again = hollow(name_of(net), net.config.to_dict(), len(net.state_dict()))
    assert {name: p.shape for name, p in again.named_parameters()} == {n: p.shape for n, p in net.named_parameters()}
    assert SeparatorConfig.from_dict({**net.config.to_dict(), "blocks": [1, 1]}) == net.config


@FORMS
def test_the_judge_learns_without_moving_what_it_judges_by(form):
    net = small(form).train()
    picture, estimate, layer, found = drawn(form)
    odds = net.presence(picture, estimate, layer, found)
    assert odds.shape == (2,)
    assert odds.dtype == torch.float32
    odds.sum().backward()
    moved = {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {"judge"}


def test_the_judge_sees_the_picture():
    net = small("added")
    with torch.no_grad():
        net.judge[2].weight.normal_(generator=torch.Generator().manual_seed(0))
        first, other = (net.presence(*drawn("added", seed=seed)) for seed in (0, 1))
        alone = net.presence(*(planes[1:] for planes in drawn("added")))
    assert not torch.equal(first, other)
    assert torch.allclose(first[1:], alone, atol=1e-4)


def test_nets_from_before_there_was_a_judge_have_none():
    fields = {name: value for name, value in SeparatorConfig().to_dict().items() if name != "judge"}
    net = Separator(SeparatorConfig.from_dict(fields))
    assert net.judge is None
    with pytest.raises(ValueError, match=r"no judge; expected one with config\.judge"):
        net.presence(*drawn("added"))
    with pytest.raises(ValueError, match="judge is -1; expected at least 0"):
        SeparatorConfig(judge=-1)
