(******************************************************************************)
(* The exponential function and the softmax.                                  *)
(*                                                                            *)
(* In words. An exponential turns sums into products and is positive; here it *)
(* is any function of an ordered field that does so, is below one at negative *)
(* numbers, and vanishes far to the left. The softmax of a family of scores   *)
(* is the family of their exponentials, divided by the sum of all of them:    *)
(*   - it is positive and sums to one              softmax_gt0, softmax_sum1  *)
(*   - the same constant added to all scores changes nothing    softmax_shift *)
(*   - scores - alpha n, with n natural numbers, turn into                    *)
(*     normalised powers of e = exp(- alpha)                   softmax_powers *)
(******************************************************************************)

From mathcomp Require Import all_ssreflect all_algebra.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* All that is assumed of the exponential function, over any ordered field. *)
Record exponential (R : realFieldType) := Exponential {
  expo :> R -> R;
  expoD : forall x y, expo (x + y) = expo x * expo y;
  expo_gt0 : forall x, 0 < expo x;
  expo_lt1 : forall x, x < 0 -> expo x < 1;
  expo_vanishes : forall eps, 0 < eps ->
    exists a, forall x, a <= x -> expo (- x) <= eps
}.

Section Exponential.
Variables (R : realFieldType) (E : exponential R).

Lemma expo_neq0 x : E x != 0.
Proof. by rewrite gt_eqF ?expo_gt0. Qed.

Lemma expo0 : E 0 = 1.
Proof. by apply: (mulfI (expo_neq0 0)); rewrite -expoD addr0 mulr1. Qed.

Lemma expoMn x n : E (x *+ n) = E x ^+ n.
Proof.
elim: n => [|n IHn]; first by rewrite mulr0n expr0 expo0.
by rewrite mulrS expoD IHn exprS.
Qed.

Lemma expo_sum (I : finType) (s : I -> R) : E (\sum_i s i) = \prod_i E (s i).
Proof. exact: (big_morph E (expoD E) expo0). Qed.

Lemma expo_le x y : x <= y -> E x <= E y.
Proof.
rewrite le_eqVlt => /predU1P[->//|x_lt]; rewrite -[x](subrK y) expoD.
by rewrite ler_pimull ?ltW ?expo_gt0 ?expo_lt1 ?subr_lt0.
Qed.

End Exponential.

Section Softmax.
Variables (R : realFieldType) (E : exponential R) (K : finType).
Implicit Types (s : K -> R) (w : K -> R) (k : K).

(* Weights divided by their sum. *)
Definition normalised w k := w k / \sum_j w j.

Definition softmax s := normalised (fun k => E (s k)).

Lemma normalised_sum1 w : \sum_k w k != 0 -> \sum_k normalised w k = 1.
Proof. by move=> w_neq0; rewrite -mulr_suml divff. Qed.

Lemma normalised_ge0 w k : (forall j, 0 <= w j) -> 0 <= normalised w k.
Proof. by move=> w_ge0; rewrite divr_ge0 ?sumr_ge0. Qed.

Lemma normalised_scale c w k :
  c != 0 -> normalised (fun j => c * w j) k = normalised w k.
Proof. by move=> c0; rewrite /normalised -mulr_sumr -mulf_div divff ?mul1r. Qed.

Lemma eq_normalised w w' k : w =1 w' -> normalised w k = normalised w' k.
Proof. by move=> ww'; rewrite /normalised ww' (eq_bigr w'). Qed.

Lemma weights_gt0 w k : (forall j, 0 < w j) -> 0 < \sum_j w j.
Proof.
move=> w_gt0; rewrite (bigD1 k)//= ltr_paddr ?w_gt0// sumr_ge0// => j _.
exact: ltW.
Qed.

Theorem softmax_gt0 s k : 0 < softmax s k.
Proof. by rewrite divr_gt0 ?expo_gt0// (weights_gt0 k)// => j; apply: expo_gt0. Qed.

Theorem softmax_sum1 s (k0 : K) : \sum_k softmax s k = 1.
Proof.
by rewrite normalised_sum1// gt_eqF// (weights_gt0 k0)// => j; apply: expo_gt0.
Qed.

Lemma eq_softmax s s' k : s =1 s' -> softmax s k = softmax s' k.
Proof. by move=> ss'; apply: eq_normalised => j; rewrite ss'. Qed.

Theorem softmax_shift s c k : softmax (fun j => s j + c) k = softmax s k.
Proof.
rewrite /softmax -[RHS](normalised_scale _ k (expo_neq0 E c)).
by apply: eq_normalised => j; rewrite addrC expoD.
Qed.

Theorem softmax_powers alpha (n : K -> nat) k :
  softmax (fun j => - alpha * (n j)%:R) k
  = normalised (fun j => E (- alpha) ^+ n j) k.
Proof. by apply: eq_normalised => j; rewrite mulr_natr expoMn. Qed.

End Softmax.
