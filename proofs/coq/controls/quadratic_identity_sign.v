(* A sign: quadratic_identity with + |Delta|^2 in place of - |Delta|^2. The   *)
(* two differ by 2 alpha |Delta|^2. In an ordered ring, such as the reals,    *)
(* that is not zero for alpha <> 0 and Delta <> 0, so the wrong one is then   *)
(* false for every delta. A softmax would not notice: both are constants.     *)
(* must fail: Cannot apply lemma quadratic_identity *)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import canvas encoding.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Control.
Variables (R : realDomainType) (d : nat) (alpha : R) (delta Delta : 'rV[R]_d).
Hypotheses (alpha_neq0 : alpha != 0) (Delta_neq0 : Delta != 0).

Definition score_is (constant : R) :=
  dot (head_vector alpha Delta) (encoding delta)
  = - alpha * (norm2 (delta - Delta) + constant).

Theorem less_the_constant : score_is (- norm2 Delta).
Proof. exact: quadratic_identity. Qed.

Theorem refuted : ~ score_is (norm2 Delta).
Proof.
have Nalpha_neq0 : - alpha != 0 by rewrite oppr_eq0.
rewrite /score_is quadratic_identity => /(mulfI Nalpha_neq0) /addrI /eqP.
rewrite eq_sym -addr_eq0 -mulr2n mulrn_eq0 psumr_eq0 => [/allP no_step|a _].
  case/rV0Pn: Delta_neq0 => a /negP[].
  by rewrite -sqrf_eq0; apply: no_step (mem_index_enum a).
exact: sqr_ge0.
Qed.

Theorem plus_the_constant : score_is (norm2 Delta).
Proof. exact: quadratic_identity. Qed.

End Control.
