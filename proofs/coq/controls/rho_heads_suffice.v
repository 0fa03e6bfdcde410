(* Weakened: heads_suffice with rho heads instead of rho + 1. The same script *)
(* proves the true statement first, so that nothing but the number of heads   *)
(* can be the reason why it fails. A weakened statement does not follow; this *)
(* one is false: rho_too_few refutes it for multiples of both signs.          *)
(* must fail: Cannot apply lemma \(shared_head Delta E_onto W_span\) *)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas encoding layers minimal_heads.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Control.
Variables (R : realFieldType) (E : exponential R) (d cin cout : nat) (T : finType).
Variables (Delta : T -> point d) (W : T -> 'M[R]_(cin, cout)).
Hypothesis E_onto : forall y, 0 < y -> exists x, E x = y.

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

Theorem rho_heads_suffice : enough (rho W).
Proof.
by have [f [B W_span]] := unfolding_span W; apply: (shared_head Delta E_onto W_span).
Qed.

End Control.
