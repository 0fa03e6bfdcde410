(* A sign: quadratic_identity with + |Delta|^2 instead of - |Delta|^2. The    *)
(* same script proves the true statement first. The wrong one fails for every *)
(* Delta but 0, and the softmax would not even notice: both are constants.    *)
(* must fail: Cannot apply lemma quadratic_identity *)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import canvas encoding.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Control.
Variables (R : comRingType) (d : nat) (alpha : R) (delta Delta : 'rV[R]_d).

Definition score_is (constant : R) :=
  dot (head_vector alpha Delta) (encoding delta)
  = - alpha * (norm2 (delta - Delta) + constant).

Theorem less_the_constant : score_is (- norm2 Delta).
Proof. exact: quadratic_identity. Qed.

Theorem plus_the_constant : score_is (norm2 Delta).
Proof. exact: quadratic_identity. Qed.

End Control.
