(* One head too few: heads_suffice with rho heads in place of rho + 1. It is  *)
(* false over any ordered field for multiples of one nonzero matrix with      *)
(* factors of both signs (Sobel, Laplace): there rho is one, but the          *)
(* probabilities of one head are positive, so it gives multiples of one sign. *)
(* must fail: Cannot apply lemma \(shared_head Delta E_onto W_is\) *)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas encoding layers minimal_heads.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Control.
Variables (R : realFieldType) (E : exponential R) (d cin cout : nat) (T : finType).
Hypothesis E_onto : forall y, 0 < y -> exists x, E x = y.
Variables (Delta : T -> point d) (W : T -> 'M[R]_(cin, cout)).
Hypothesis centers : injective Delta.

(* The matrices are multiples of W0, of both signs. *)
Variables (factor : T -> R) (W0 : 'M[R]_(cin, cout)) (tap tap' : T).
Hypotheses (W0_neq0 : W0 != 0) (multiples : forall t, W t = factor t *: W0).
Hypotheses (positive : 0 < factor tap) (negative : factor tap' < 0).

(* n heads are enough for W. *)
Definition enough n :=
  exists (s : 'I_n -> T -> R) (M : 'I_n -> 'M[R]_(cin, cout)),
    forall (m : 'I_d -> nat) bias (X : token m -> 'rV[R]_cin) (q : point d),
      (forall tap, on_canvas m (q + Delta tap)) ->
      table_attention E Delta s M bias X q
      = convolution Delta W bias (nearest_extension X) q.

Theorem one_more_suffices : enough (rho W).+1.
Proof.
by have [f [B W_is]] := unfolding_span W; apply: (shared_head Delta E_onto W_is).
Qed.

Theorem refuted : ~ enough (rho W).
Proof. exact: (rho_too_few centers W0_neq0 multiples positive negative). Qed.

Theorem rho_heads_suffice : enough (rho W).
Proof.
by have [f [B W_is]] := unfolding_span W; apply: (shared_head Delta E_onto W_is).
Qed.

End Control.
