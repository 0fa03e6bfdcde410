(* A constant: leak_any_size with d e / (1 + e), half of the bound. The same  *)
(* script proves the true statement first. The wrong one is false far from    *)
(* borders, where a head leaks about 2 d e.                                   *)
(* must fail: Cannot apply lemma leak_any_size *)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas encoding layers smoothing leak.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Control.
Variables (R : realFieldType) (e : R) (d : nat) (m : 'I_d -> nat).
Hypotheses (e_gt0 : 0 < e) (e_lt1 : e < 1).

Definition at_most (c : nat) := forall t : point d,
  leak e m t <= (c * d)%:R * e / (1 + e).

Theorem whole_bound : at_most 2.
Proof. by move=> t; apply: leak_any_size. Qed.

Theorem half_bound : at_most 1.
Proof. by move=> t; apply: leak_any_size. Qed.

End Control.
