"""Terms that are declared and are not in the loss, or not in every step, as it is meant."""

from __future__ import annotations

import torch
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.pairs_weights import of_two_parts


@healthy
def a_metric_with_a_graph_beside_the_loss():
    def loss_of(epoch, terms, output, targets):
        loss = sum(terms.values())
        terms["distance"] = functional.l1_loss(output[1], targets[:, 1:])
        return loss

    return of_two_parts(loss_of)


@healthy
def unweighted_copies_of_terms():
    def loss_of(epoch, terms, output, targets):
        return functional.mse_loss(torch.cat(output, dim=1), targets)

    return of_two_parts(loss_of)


@healthy
def losses_that_alternate_by_the_epoch():
    def loss_of(epoch, terms, output, targets):
        return terms["right" if epoch % 2 else "left"]

    return of_two_parts(loss_of, size=16, epochs=8)


@healthy
def a_term_that_is_added_late():
    def loss_of(epoch, terms, output, targets):
        return sum(terms.values()) if epoch > 2 else terms["left"]

    return of_two_parts(loss_of)


@healthy
def an_output_in_the_form_of_a_log():
    shown = []

    def loss_of(epoch, terms, output, targets):
        shown[:] = output[0], output[1].sigmoid()
        loss = sum(terms.values())
        terms["sign"] = functional.mse_loss(shown[1], (targets[:, 1:] > 0).float())
        return loss

    return of_two_parts(loss_of, told=lambda output: tuple(shown))
